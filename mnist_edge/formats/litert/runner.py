"""A `.tflite` file in LiteRT's interpreter, on one thread. Needs ai-edge-litert and numpy alone."""

import threading

import numpy as np
from ai_edge_litert import interpreter as litert

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.descriptors import silent_descriptors
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.litert.flatbuffer import metadata_of, read_model, write_model
from mnist_edge.formats.runner import Runner
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
    interpreter = Interpreter(write_model(model), contract)
    return Runner(contract, metadata, interpreter.predict, interpreter.mismatches)


class Interpreter:
    """A file that is open; one thread at a time computes with it."""

    def __init__(self, data: bytes, contract: Contract) -> None:
        """Load a file that was read and written here; raises `ArtifactError` where LiteRT can't."""
        self._lock = threading.Lock()
        self._shape = contract.task.input.shape
        try:
            with silent_descriptors(1, 2):  # it tells that it uses XNNPACK
                self._run = litert.Interpreter(model_content=data, num_threads=1)
                self._run.allocate_tensors()
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
        if images.shape[1:] != self._shape:
            raise ArtifactError(f"it takes images of shape {list(self._shape)}, not {list(images.shape[1:])}")
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
