"""Pictures of 1 to 8 pixels a side, where a window, a border or half of a side is nothing at all."""

from itertools import product

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import NoDigitError, PictureError
from mnist_edge.preprocessing.decode import decode
from mnist_edge.preprocessing.mnist_v3 import preprocess
from tests.preprocessing.hostile_pictures import saved

MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "I;16", "I;16B", "I;16L", "F"),
)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SIZES = list(product(range(1, 9), range(1, 9)))


def answered_or_refused(picture: Image.Image) -> None:
    message = ""
    try:
        assert np.isfinite(preprocess(picture).tensor).all()
    except (NoDigitError, PictureError) as error:
        message = str(error)
    assert message.isprintable()


def contents(size: tuple[int, int], length: int) -> list[bytes]:
    """Return noise, noise of two values, and a square within a square, for a picture of so many bytes."""
    random = np.random.default_rng(size[0] * 8 + size[1])
    noise = random.bytes(length)
    square = np.full((size[1], size[0]), 255, dtype=np.uint8)
    square[1:-1, 1:-1] = 0
    repeated = np.repeat(square.ravel(), -(-length // square.size))[:length]
    return [noise, bytes(value % 2 * 255 for value in noise), repeated.tobytes(), (255 - repeated).tobytes()]


def pictures(mode: str, size: tuple[int, int]) -> list[Image.Image]:
    length = len(Image.new(mode, size).tobytes())
    made = [Image.frombytes(mode, size, content) for content in contents(size, length)]
    if mode in {"P", "PA"}:
        for picture in made:
            picture.putpalette(np.random.default_rng(0).bytes(768))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode: str) -> None:
    for size in SIZES:
        for picture in pictures(mode, size):
            answered_or_refused(picture)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in {"La", "LAB", "HSV", "RGBa", "I;16L"}])
def test_every_mode_in_every_format(mode: str, format: str) -> None:
    for size in SIZES[::3]:
        for picture in pictures(mode, size)[1:3]:
            try:
                data = saved(picture, format)
            except (OSError, ValueError, KeyError):  # a format that can't hold the mode
                return
            try:
                decoded = decode(data)
            except PictureError:  # a kind of the format that is not read, such as a PPM of floats
                continue
            answered_or_refused(decoded)


@pytest.mark.slow
@pytest.mark.parametrize("values", [(0, 255), (255, 0), (100, 200)])
def test_a_rectangle_anywhere(values: tuple[int, int]) -> None:
    for height, width in SIZES[::2]:
        for top, left in product(range(height), range(width)):
            for bottom, right in product(range(top + 1, height + 1), range(left + 1, width + 1)):
                if (top + left + bottom + right) % 5 and (height, width) != (4, 4):
                    continue
                array = np.full((height, width), values[0], dtype=np.uint8)
                array[top:bottom, left:right] = values[1]
                answered_or_refused(Image.fromarray(array))


def test_four_pixels_a_side_with_a_border_are_read() -> None:
    """All of it was taken for the border and the blurred rows beside it."""
    array = np.full((4, 4), 255, dtype=np.uint8)
    array[1:3, 1:3] = 0
    assert preprocess(Image.fromarray(array)).tensor.sum() > 0


def test_floats_as_large_as_they_get_are_read() -> None:
    values = np.full((2, 2), np.finfo(np.float32).max, dtype=np.float32)
    values[0, 0], values[1, 1] = np.nan, 0
    answered_or_refused(Image.fromarray(values))
