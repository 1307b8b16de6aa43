"""An artifact of this format on an emulated 64-bit ARM processor, in the LiteRT that is built for it."""

from functools import partial

from mnist_edge.formats import arm64

run_on = partial(arm64.run_on, "litert")
unavailable = arm64.unavailable
