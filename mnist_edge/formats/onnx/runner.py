"""An exported ONNX file as a session that keeps to its contract."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from mnist_edge.errors import UserError
from mnist_edge.atomic import read_bytes
from mnist_edge.artifact.contract import CONTRACT_KEY, PREPROCESSING, Contract, ContractError
from mnist_edge.artifact.test_vectors import GOLDEN_KEY, Golden
from mnist_edge.artifact.checksum import SealError, check_seal

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Images, float32 `[batch, 1, 28, 28]` in [0, 1] → logits, float32 `[batch, 10]`."""

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


class SessionError(ValueError):
    """onnxruntime refuses a file, or an input to it."""


def open_session(data: bytes) -> ort.InferenceSession:
    """Return a session over an ONNX file's bytes: one thread, which does not spin while it waits.

    Raises:
        SessionError: onnxruntime can't load the file.
    """
    ort.disable_telemetry_events()  # which it has on Windows
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # for what a digit needs, keeping memory back costs more than it saves
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what goes wrong is raised; the log would only repeat it
    try:
        # Its fallback is for other processors than the CPU, and talks on stdout.
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except (*_ORT_ERRORS, UnicodeDecodeError) as error:
        raise SessionError(f"onnxruntime cannot load it ({_first_line(error)})") from error


def predictor(session: ort.InferenceSession) -> Predict:
    """Return the function that runs the session; it raises `SessionError` where the graph does not take a batch."""
    name, names = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    # What the Python class adds to the call, checks of its arguments, is a tenth of the time that a small model takes.
    run = getattr(session, "_sess", session).run

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            logits: NDArray[np.float32] = run(names, {name: images}, None)[0]
        except _ORT_ERRORS as error:
            raise SessionError(f"onnxruntime cannot run a batch of {len(images)} ({_first_line(error)})") from error
        return logits

    return predict


def every_output(session: ort.InferenceSession, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return all outputs of the graph by their names, for graphs that have more of them than the contract knows.

    Raises:
        SessionError: the graph does not take the batch.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {session.get_inputs()[0].name: images}), strict=True))
    except _ORT_ERRORS as error:
        raise SessionError(f"onnxruntime cannot run a batch of {len(images)} ({_first_line(error)})") from error


def check_finite(images: NDArray[np.float32]) -> None:
    """Return if all values of the images, float32 `[N, 1, 28, 28]`, are finite numbers.

    It is for where arrays come in from outside, not for the inner loop: a picture file always gives finite values. A
    quantised model would turn NaN into an answer like any other.

    Raises:
        UserError: some are NaN or infinite.
    """
    finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if not finite.all():
        raise UserError(f"image {int(finite.argmin())} holds NaN or infinity: expected numbers in [0, 1]")


def session_contract(session: ort.InferenceSession) -> Contract:
    """Return the contract that the session's file carries.

    Raises:
        ContractError: there is none, or it is not understood here.
    """
    return Contract.from_json(_properties(session).get(CONTRACT_KEY))


def session_golden(session: ort.InferenceSession) -> Golden:
    """Return the golden vectors that the session's file carries.

    Raises:
        ContractError: the file's metadata is damaged.
        GoldenError: there are none, or they are not understood here.
    """
    return Golden.from_json(_properties(session).get(GOLDEN_KEY))


def _properties(session: ort.InferenceSession) -> dict[str, str]:
    try:
        properties: dict[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ContractError("its contract is damaged") from error
    return properties


def contradictions(session: ort.InferenceSession, contract: Contract) -> list[str]:
    """Return a line for each way in which the graph's input or output is not as the contract says."""
    try:
        given, gives = session.get_inputs(), session.get_outputs()
        found = [(node.name, tuple(node.shape), node.type) for node in (*given, *gives)]
    except UnicodeDecodeError:
        return ["the names of the graph's input or output are damaged"]
    if len(given) != 1 or len(gives) != 1:
        return [f"the graph has {len(given)} inputs and {len(gives)} outputs, expected 1 of each"]
    promised = {
        "input": (contract.input_name, contract.input_shape, _ELEMENT_TYPES.get(contract.input_dtype)),
        "output": (contract.output_name, contract.output_shape, "tensor(float)"),
    }
    return [
        f"the graph's {side} is {is_}, its contract says {says}"
        for (side, says), is_ in zip(promised.items(), found, strict=True)
        if is_ != says
    ]


@dataclass(frozen=True)
class Model:
    """A file that can be run: where it was, its bytes, and what they say."""

    path: Path
    data: bytes
    predict: Predict
    contract: Contract


def open_model(path: Path) -> Model:
    """Open an exported ONNX file to run it.

    Raises:
        UserError: the file is missing, no ONNX file of mnist-edge, altered since its export, or wants what this
            runner does not do.
    """
    return load_model(path, read_bytes(path))


def load_model(path: Path, data: bytes) -> Model:
    """Make the bytes of an exported ONNX file run; `path` only names them.

    Raises:
        UserError: they are no ONNX file of mnist-edge, altered since its export, or want what this runner does not do.
    """
    session, contract = open_checked(path, data)
    return Model(path, data, predictor(session), contract)


def open_checked(path: Path, data: bytes) -> tuple[ort.InferenceSession, Contract]:
    """Open the bytes of an exported ONNX file whose seal is whole and whose contract this runner can keep.

    Raises:
        UserError: as `load_model`.
    """
    try:
        session = open_session(data)
        contract = session_contract(session)
        check_seal(data)
        problems = contradictions(session, contract) + _unknown_wishes(contract)
        if problems:
            raise ContractError(problems[0])
    except (SessionError, ContractError, SealError) as error:
        raise UserError(f"cannot use {path}: {error}; expected an ONNX file made by `mnist-edge export`") from error
    return session, contract


def _unknown_wishes(contract: Contract) -> list[str]:
    """Return what the contract asks for that the preprocessing here does not give."""
    given = {
        "labels": tuple("0123456789"),
        "preprocessing": PREPROCESSING,
        "polarity": "white-on-black",
        "input_range": (0.0, 1.0),
        "input_dtype": "float32",
        "input_layout": "NCHW",
        "input_shape": ("batch", 1, 28, 28),
    }
    wishes = [
        f"its contract asks for {name} {getattr(contract, name)!r}, this runner gives {value!r}"
        for name, value in given.items()
        if getattr(contract, name) != value
    ]
    if not isinstance(contract.temperature, float) or not 0 < contract.temperature < math.inf:
        wishes.append(f"its contract asks for temperature {contract.temperature!r}, expected a number above 0")
    if not isinstance(contract.certainty, float) or not 0 <= contract.certainty < math.inf:
        wishes.append(f"its contract asks for certainty {contract.certainty!r}, expected a number from 0")
    return wishes


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(". ")
