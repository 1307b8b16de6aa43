"""An intermediate representation on the CPU of this machine, by OpenVINO."""

import threading
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import BATCH, CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.library import core, load_openvino
from mnist_edge.formats.openvino.representation import (
    GRAPH,
    MAX_ELEMENTS,
    MAX_TOTAL,
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
    model = compiled(bundle.files[GRAPH], bundle.files[WEIGHTS])
    run = predictor(model)

    def predict(images: Images) -> Logits:
        if not np.isfinite(images).all():  # its ReLU makes 0 of NaN
            raise ArtifactError("it takes numbers that are finite")
        return run(images)

    return Runner(contract, metadata, predict, tuple(_io_mismatches(model, contract)))


def compiled(graph: bytes, weights: bytes) -> Any:  # noqa: ANN401
    """Return a model compiled for the CPU.

    Raises:
        ArtifactError: OpenVINO can't load it, or it asks for more memory than a small classifier needs.
    """
    try:
        model = core().read_model(graph, weights)
        _check_shapes(model.clone())
        return core().compile_model(model, "CPU", _SETTINGS)
    except RuntimeError as error:
        raise ArtifactError(f"OpenVINO cannot load it ({one_line(error)})") from error


def _check_shapes(model: Any) -> None:  # noqa: ANN401
    """Refuse a model by what its operators give for one image and for two; changes the model."""
    inputs = {port: list(port.partial_shape) for port in model.inputs}
    numbers = _numbers(model, inputs, 1)
    if max(numbers) > MAX_ELEMENTS or sum(numbers) > MAX_TOTAL:
        raise ArtifactError("an operator of it gives more numbers than a small classifier needs")
    for one, two in zip(numbers, _numbers(model, inputs, 2), strict=True):
        if two > 2 * one:
            raise ArtifactError(
                f"an operator of it gives {two:,} numbers for two images and {one:,} for one, expected at most twice "
                "as many"
            )


def _numbers(model: Any, inputs: Mapping[Any, Sequence[Any]], images: int) -> list[int]:  # noqa: ANN401
    """Return how many numbers each output of a model's operators has, as OpenVINO infers it; changes the model.

    Raises:
        ArtifactError: that depends on what is seen in the images.
    """
    partial = load_openvino().PartialShape
    model.reshape(
        {port: partial([images if side.is_dynamic else side for side in sides]) for port, sides in inputs.items()}
    )
    numbers = []
    for operator in model.get_ops():
        for output in operator.outputs():
            if output.partial_shape.is_dynamic:
                raise ArtifactError(f"a size of its operator {operator.get_type_name()} depends on the picture")
            numbers.append(prod(output.shape))
    return numbers


def predictor(model: Any) -> Predict:  # noqa: ANN401
    """Return the function that runs a model; it raises `ArtifactError` where the model does not take a batch.

    So it does where the logits are of another number of images.

    Tensors are given and taken by number: to copy and to name them, as `infer` of a dictionary does, takes nearly as
    long as a small model. The request does not keep the array of a shared tensor alive, and is one for all threads.
    """
    request, tensor_of, lock = model.create_infer_request(), load_openvino().Tensor, threading.Lock()

    def predict(images: Images) -> Logits:
        shared = np.require(images, np.float32, ["C", "A", "W"])
        try:
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
