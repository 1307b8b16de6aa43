"""A `.tflite` file in LiteRT's interpreter, on one thread. Needs ai-edge-litert and numpy alone."""

import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.descriptors import silent_descriptors
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.litert.flatbuffer import metadata_of, read_model, write_model
from mnist_edge.formats.litert.structure import MAX_TOTAL, shapes_of
from mnist_edge.formats.runner import Runner, check_shape
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open a file.

    Raises:
        ArtifactError: it is not what an export writes, LiteRT can't load it, or it carries no contract that is
            understood here.
    """
    model = read_model(bundle.data)
    metadata = metadata_of(model)
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    data = write_model(model)
    check_sizes(data, shapes_of(model))
    interpreter = Interpreter(data, contract)
    return Runner(contract, metadata, interpreter.predict, interpreter.mismatches)


def check_sizes(data: bytes, shapes: Sequence[tuple[int, ...]]) -> None:
    """Return if the tensors of a file have the shapes that it says, and all together have few enough numbers.

    LiteRT makes an output as large as the operator's inputs ask for. It reserves that memory when it loads a file, and
    writes to it when it runs one. Its own kernels say what they need; XNNPACK's, which run, do not.

    Raises:
        ArtifactError: they have not, or LiteRT can't load the file.
    """
    try:
        tensors = _allocated(data, litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES).get_tensor_details()
    except (RuntimeError, ValueError) as error:
        raise ArtifactError(f"LiteRT cannot load it ({one_line(error)})") from error
    found = {tensor["index"]: tuple(map(int, tensor["shape"])) for tensor in tensors}
    for index, shape in enumerate(shapes):
        if found.get(index, shape) != shape:
            raise ArtifactError(f"an operator of it gives the shape {list(found[index])}, the file says {list(shape)}")
    if sum(map(prod, found.values())) > MAX_TOTAL:
        raise ArtifactError("its operators need more memory than those of a small classifier")


def _allocated(data: bytes, kernels: Any) -> Any:  # noqa: ANN401
    """Return LiteRT's interpreter of a file, with memory for its tensors; raises `RuntimeError` or `ValueError`."""
    with silent_descriptors(1, 2):  # it tells that it uses XNNPACK
        run = litert.Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kernels)
        run.allocate_tensors()
    return run


class Interpreter:
    """A file that is open; one thread at a time computes with it."""

    def __init__(self, data: bytes, contract: Contract) -> None:
        """Load a file that was read and written here; raises `ArtifactError` where LiteRT can't."""
        self._lock = threading.Lock()
        self._shape = contract.task.input.shape
        try:
            self._run = _allocated(data, litert.OpResolverType.AUTO)
            inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"LiteRT cannot load it ({one_line(error)})") from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise ArtifactError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, expected 1 of each")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        promised = {
            "input": (inputs[0], contract.task.input.name, contract.input_shape),
            "output": (outputs[0], contract.output, contract.output_shape),
        }
        found = {side: (tensor["name"], tuple(map(int, tensor["shape"]))) for side, (tensor, *_) in promised.items()}
        self.mismatches = tuple(
            f"the graph's {side} is {found[side]}, its contract says {(name, shape)}"
            for side, (_, name, shape) in promised.items()
            if found[side] != (name, shape)
        )

    def predict(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`; raises `ArtifactError` where images do not fit."""
        check_shape(images, self._shape)
        try:
            with self._lock:
                return np.concatenate([self._logits_of(images[index : index + 1]) for index in range(len(images))])
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(f"LiteRT cannot run an image ({one_line(error)})") from error

    def _logits_of(self, image: Images) -> Logits:
        self._run.set_tensor(self._input, np.ascontiguousarray(image, np.float32))
        self._run.invoke()
        logits: Logits = self._run.get_tensor(self._output)
        return logits
