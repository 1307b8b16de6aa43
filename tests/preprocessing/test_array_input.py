import numpy as np
import pytest

from mnist_edge.preprocessing.array_input import from_array
from mnist_edge.types import AnyArray

NOT_PICTURES = [
    (np.zeros(784, dtype=np.uint8), "shape"),
    (np.zeros((3, 20, 28), dtype=np.uint8), "shape"),
    (np.zeros((0, 28), dtype=np.uint8), "shape"),
    (np.zeros((28, 28), dtype=np.int64), "int64 is not a picture"),
    (np.zeros((28, 28, 3), dtype=np.uint16), "uint16 is not a picture"),
    (np.full((3, 4), 1e300), "divide by the value of white"),
    (np.full((28, 28), 255.0), "divide by the value of white"),
    (np.full((28, 28), np.nan), "divide by the value of white"),
]
"""Arrays, and what is said of them."""


@pytest.mark.parametrize(("array", "message"), NOT_PICTURES)
def test_an_array_that_is_not_a_picture_is_refused(array: AnyArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_array(array)


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (np.full((3, 4), 255, dtype=np.uint8), "L"),
        (np.full((3, 4), True), "L"),
        (np.full((3, 4), 65_535, dtype=np.uint16), "I;16"),
        (np.full((3, 4), 65_535, dtype=">u2"), "I;16"),
        (np.full((3, 4), 1, dtype=">f8"), "L"),
        (np.full((3, 4), 1.0), "L"),
        (np.full((3, 4, 3), 255, dtype=np.uint8), "RGB"),
        (np.full((3, 4, 4), 1.0, dtype=np.float16), "RGBA"),
    ],
)
def test_white_stays_white(array: AnyArray, mode: str) -> None:
    picture = from_array(array)
    assert (picture.mode, picture.size) == (mode, (4, 3))
    assert (np.asarray(picture) == (65_535 if mode == "I;16" else 255)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8"])
def test_the_range_of_floats_is_known(dtype: str) -> None:
    gray = np.arange(100, 156, dtype=np.uint8).reshape(7, 8)
    assert np.array_equal(np.asarray(from_array((gray / 255).astype(dtype))), gray)
