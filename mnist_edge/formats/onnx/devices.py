"""An artifact of this format on an emulated 64-bit ARM processor, in the onnxruntime that is built for it."""

from functools import partial

from mnist_edge.formats import arm64

run_on = partial(arm64.run_on, "onnx")
unavailable = arm64.unavailable
