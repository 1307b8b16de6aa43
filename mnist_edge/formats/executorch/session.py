"""An ExecuTorch program: what the sandbox runs."""

import numpy as np
import torch

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.executorch.library import load_runtime
from mnist_edge.formats.executorch.texts import METHOD, TEXTS
from mnist_edge.sandbox.client import Arrays, Values

runtime, portable_lib = load_runtime()

_ERRORS = (RuntimeError, ValueError, KeyError, TypeError)


def warm_up() -> None:
    """Read what the processor can do, and go without threads: a child of a fork would wait for them forever."""
    portable_lib._unsafe_reset_threadpool(1)
    runtime.Runtime.get()


class Session:
    """A program that is open; each call takes and gives plain values and arrays."""

    def __init__(self, data: bytes) -> None:
        """Load a program; raises `ArtifactError` where ExecuTorch can't."""
        self._data = data  # which the program points to
        try:
            self._program = runtime.Runtime.get().load_program(data)
            self._method = self._program.load_method(METHOD)
        except _ERRORS as error:
            raise ArtifactError(f"ExecuTorch cannot load it ({one_line(error)})") from error
        if self._method is None:
            raise ArtifactError(f"it has no method {METHOD}")

    def call_texts(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        """Nothing → the texts that the program carries, by key."""
        found = {}
        for key, name in TEXTS.items():
            if name in self._program.method_names:
                method = self._program.load_method(name)
                (text,) = method.execute([]) if method is not None else [None]
                if not isinstance(text, str):
                    raise ArtifactError("its metadata is damaged")
                found[key] = text
        return found, {}

    def call_describe(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        """Nothing → the shapes of inputs and outputs."""
        data = self._method.metadata
        return {
            "inputs": [list(data.input_tensor_meta(index).sizes()) for index in range(data.num_inputs())],
            "outputs": [list(data.output_tensor_meta(index).sizes()) for index in range(data.num_outputs())],
        }, {}

    def call_predict(self, _: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        """Images → logits, one after the other."""
        images = torch.from_numpy(np.array(arrays["images"]))
        try:
            logits = [self._method.execute([images[index : index + 1]])[0] for index in range(len(images))]
            return {}, {"logits": torch.cat([found.clone() for found in logits]).numpy()}
        except _ERRORS as error:
            raise ArtifactError(f"ExecuTorch cannot run an image ({one_line(error)})") from error
