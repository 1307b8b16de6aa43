"""Any picture of one digit → an image like MNIST's: white ink on black, 28×28, in a 20×20 box, centered by mass."""

from PIL import Image

from mnist_edge.preprocessing.mnist_v3.layout import as_model_input
from mnist_edge.preprocessing.mnist_v3.pipeline import preprocess
from mnist_edge.preprocessing.mnist_v3.size_normalization import INPUT_SIDE
from mnist_edge.preprocessing.result import DigitGroup, Preprocessing
from mnist_edge.types import TensorSpec

__all__ = ["OUTPUT", "as_model_input", "for_input", "preprocess", "segment_number"]

OUTPUT = TensorSpec("image", (1, INPUT_SIDE, INPUT_SIDE), "NCHW", "float32", (0.0, 1.0), "white-on-black")
"""What `preprocess` gives and `as_model_input` recognizes."""


def for_input(_: TensorSpec) -> Preprocessing:
    """Return the preprocessing, which gives `OUTPUT` whatever is asked for."""
    return Preprocessing(OUTPUT, preprocess, as_model_input, segment_number)


def segment_number(picture: Image.Image) -> tuple[tuple[DigitGroup, ...], ...]:
    """Return the digits in a picture, as `mnist_edge.preprocessing.mnist_v3.number` does, which is imported then.

    Raises:
        NoDigitError: the picture holds no ink, or too many pieces of it.
        PictureError: its mode can't be converted to gray.
    """
    from mnist_edge.preprocessing.mnist_v3 import number

    return number.segment_number(picture)
