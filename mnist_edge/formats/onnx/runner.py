"""An ONNX artifact in an onnxruntime session. Needs onnxruntime and numpy alone."""

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import MAX_REASON
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.onnx.structure import check_structure
from mnist_edge.formats.runner import Runner
from mnist_edge.types import AnyArray, Images, Logits, Predict

_ELEMENT_TYPES = {"float32": "tensor(float)"}

_ORT_ERRORS = (  # what a bad file or input raises; their only common base is `Exception`
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def open_runner(bundle: Bundle) -> Runner:
    """Open an ONNX file.

    Raises:
        ArtifactError: it has not the structure of a small classifier, onnxruntime can't load it, or it carries no
            contract that is understood here.
    """
    check_structure(bundle.data)
    session = open_session(bundle.data)
    metadata = _metadata(session)
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    return Runner(contract, metadata, predictor(session), tuple(_io_mismatches(session, contract)))


def open_session(data: bytes | str) -> ort.InferenceSession:
    """Return a session over an ONNX file's bytes: one thread, which does not spin while it waits.

    Of a file by its name, onnxruntime also reads the weights that lie beside it.

    Raises:
        ArtifactError: onnxruntime can't load the file.
    """
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # for what a digit needs, keeping memory back costs more than it saves
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what goes wrong is raised; the log would only repeat it
    try:
        # Its fallback is for other processors than the CPU, and prints to stdout.
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except (*_ORT_ERRORS, UnicodeDecodeError) as error:
        raise ArtifactError(f"onnxruntime cannot load it ({_first_line(error)})") from error


def run_all_outputs(session: ort.InferenceSession, images: Images) -> dict[str, AnyArray]:
    """Return all outputs of the graph by their names, for graphs that have more of them than the contract knows.

    Raises:
        ArtifactError: the graph does not take the batch.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {session.get_inputs()[0].name: images}), strict=True))
    except _ORT_ERRORS as error:
        raise ArtifactError(f"onnxruntime cannot run a batch of {len(images)} ({_first_line(error)})") from error


def predictor(session: ort.InferenceSession) -> Predict:
    """Return the function that runs the session; it raises `ArtifactError` where the graph does not take a batch."""
    name, names = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    # What the Python class adds to the call, checks of its arguments, is a tenth of the time that a small model takes.
    run = getattr(session, "_sess", session).run

    def predict(images: Images) -> Logits:
        try:
            logits: Logits = run(names, {name: images}, None)[0]
        except _ORT_ERRORS as error:
            raise ArtifactError(f"onnxruntime cannot run a batch of {len(images)} ({_first_line(error)})") from error
        return logits

    return predict


def _metadata(session: ort.InferenceSession) -> dict[str, str]:
    try:
        metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ArtifactError("its metadata is damaged") from error
    return metadata


def _io_mismatches(session: ort.InferenceSession, contract: Contract) -> list[str]:
    """Return a line for each way in which the graph's input or output is not as the contract says."""
    try:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        found = [(node.name, tuple(node.shape), node.type) for node in (*inputs, *outputs)]
    except UnicodeDecodeError:
        return ["the names of the graph's input or output are damaged"]
    if len(inputs) != 1 or len(outputs) != 1:
        return [f"the graph has {len(inputs)} inputs and {len(outputs)} outputs, expected 1 of each"]
    promised = {
        "input": (contract.task.input.name, contract.input_shape, _ELEMENT_TYPES.get(contract.task.input.dtype)),
        "output": (contract.output, contract.output_shape, "tensor(float)"),
    }
    return [
        f"the graph's {side} is {actual}, its contract says {expected}"
        for (side, expected), actual in zip(promised.items(), found, strict=True)
        if actual != expected
    ]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")[:MAX_REASON]
