"""An ncnn model: what the sandbox runs. ncnn takes its file at its word, and would read past the end of one."""

import ncnn
import numpy as np

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.ncnn.files import INPUT, OUTPUT, pack, unpack
from mnist_edge.sandbox.client import Arrays, Values
from mnist_edge.types import AnyArray

_WARM_UP = """7767517
3 3
Input in0 0 1 in0
InnerProduct layer 1 1 in0 hidden 0=1 1=0 2=1 9=1
Softmax end 1 1 hidden out0
"""


def warm_up() -> None:
    """Run a small model once, so that all that ncnn opens is open."""
    Session(pack(_WARM_UP, bytes(8))).call_predict({}, {"images": np.zeros((1, 1, 1, 1), np.float32)})


class Session:
    """A model that is open; each call takes and gives plain values and arrays."""

    def __init__(self, data: bytes) -> None:
        """Load a model; raises `ArtifactError` where ncnn can't."""
        param, self._weights = unpack(data)  # which ncnn points to
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = 1
        options.use_vulkan_compute = False
        # By default it keeps values between layers in 16 bits where the processor can, which moves a logit by 0.1.
        for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(options, f"use_{name}", False)
        if self._net.load_param_mem(param) != 0:
            raise ArtifactError("ncnn cannot load it")
        self._net.load_model_mem(self._weights)

    def call_predict(self, _: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        """Images → logits, one after the other."""
        return {}, {"logits": np.array([self._logits_of(image) for image in arrays["images"]], np.float32)}

    def _logits_of(self, image: AnyArray) -> AnyArray:
        extractor = self._net.create_extractor()
        # An array that is lent has no count of references, which ncnn reads before it runs a first layer in place.
        extractor.input(INPUT, ncnn.Mat(np.ascontiguousarray(image)).clone())
        state, output = extractor.extract(OUTPUT)
        if state != 0:
            raise ArtifactError("ncnn cannot run an image")
        return np.array(output).reshape(-1)
