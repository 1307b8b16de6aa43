"""Any picture of one digit → an image like MNIST's: white ink on black, 28×28, in a 20×20 box, centered by mass."""

from mnist_edge.preprocessing.mnist_v3.layout import as_model_input
from mnist_edge.preprocessing.mnist_v3.pipeline import preprocess
from mnist_edge.preprocessing.mnist_v3.size_normalization import INPUT_SIDE
from mnist_edge.types import TensorSpec

__all__ = ["OUTPUT", "as_model_input", "preprocess"]

OUTPUT = TensorSpec("image", (1, INPUT_SIDE, INPUT_SIDE), "NCHW", "float32", (0.0, 1.0), "white-on-black")
"""What `preprocess` gives and `as_model_input` recognizes."""
