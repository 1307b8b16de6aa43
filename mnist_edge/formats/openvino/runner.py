"""An intermediate representation on the CPU of this machine, by OpenVINO."""

import threading
from typing import Any

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import BATCH, CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.batches import BatchLimit
from mnist_edge.formats.openvino.library import core, load_openvino
from mnist_edge.formats.openvino.representation import (
    GRAPH,
    WEIGHTS,
    check_representation,
)
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Images, Logits, Predict

_SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 would compute in that, 0.1 off in the logits
}


def open_runner(bundle: Bundle) -> Runner:
    """Open a folder.

    Raises:
        ArtifactError: a file is missing or not as an export writes it, OpenVINO can't load it, or it carries no
            contract that is understood here.
    """
    metadata = bundle.sidecar_metadata()
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    for name in (GRAPH, WEIGHTS):
        if name not in bundle.files:
            raise ArtifactError(f"it holds no {name}")
    check_representation(bundle.files[GRAPH], bundle.files[WEIGHTS])
    model, limit = compiled(bundle.files[GRAPH], bundle.files[WEIGHTS])
    run = predictor(model, limit)

    def predict(images: Images) -> Logits:
        if not np.isfinite(images).all():  # its ReLU makes 0 of NaN
            raise ArtifactError("it takes numbers that are finite")
        return run(images)

    return Runner(contract, metadata, predict, tuple(_io_mismatches(model, contract)))


def compiled(graph: bytes, weights: bytes) -> tuple[Any, BatchLimit]:
    """Return a model compiled for the CPU, and what limits its batches.

    Raises:
        ArtifactError: OpenVINO can't load it, or it asks for more memory than a small classifier needs.
    """
    try:
        model = core().read_model(graph, weights)
        limit = BatchLimit(model)
        return core().compile_model(model, "CPU", _SETTINGS), limit
    except RuntimeError as error:
        raise ArtifactError(f"OpenVINO cannot load it ({one_line(error)})") from error


def predictor(model: Any, limit: BatchLimit) -> Predict:  # noqa: ANN401
    """Return the function that runs a model; it raises `ArtifactError` where the model does not take a batch.

    So it does where a batch is beyond its limit, and where the logits are of another number of images.

    Tensors are given and taken by number: to copy and to name them, as `infer` of a dictionary does, takes nearly as
    long as a small model. The request does not keep the array of a shared tensor alive, and is one for all threads.
    """
    request, tensor_of, lock = model.create_infer_request(), load_openvino().Tensor, threading.Lock()

    def predict(images: Images) -> Logits:
        shared = np.require(images, np.float32, ["C", "A", "W"])
        try:
            limit.check(len(images))
            with lock:
                request.set_input_tensor(0, tensor_of(shared, shared_memory=True))
                request.infer()
                logits: Logits = np.array(request.get_output_tensor(0).data)
        except (RuntimeError, TypeError) as error:
            raise ArtifactError(f"OpenVINO cannot run a batch of {len(images)} ({one_line(error)})") from error
        if logits.shape[:1] != images.shape[:1]:  # what is left of the call before, where there was no memory
            raise ArtifactError(f"it gives logits of shape {list(logits.shape)} for {len(images)} images")
        return logits

    return predict


def _io_mismatches(model: Any, contract: Contract) -> list[str]:  # noqa: ANN401
    """Return a line for each way in which the graph's input or output is not as the contract says."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return [f"the graph has {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected 1 of each"]
    promised = {
        "input": (model.inputs[0], contract.task.input.name, contract.input_shape),
        "output": (model.outputs[0], contract.output, contract.output_shape),
    }
    found = {side: (_name(port), _shape(port)) for side, (port, _, _) in promised.items()}
    return [
        f"the graph's {side} is {found[side]}, its contract says {(name, shape)}"
        for side, (_, name, shape) in promised.items()
        if found[side] != (name, shape)
    ]


def _name(port: Any) -> str:  # noqa: ANN401
    return min(port.names, default="")


def _shape(port: Any) -> tuple[int | str, ...]:  # noqa: ANN401
    return tuple(side.get_length() if side.is_static else BATCH for side in port.partial_shape)
