import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_edge.runtime import image
from mnist_edge.training.data import Split

Points = list[tuple[float, float]]
SEVEN: Points = [(0.1, 0.05), (0.9, 0.05), (0.35, 0.95)]
"""A seven as a line in the unit square."""


def drawn(side: int, box: tuple[float, float, float, float], ground: int, ink: int) -> Image.Image:
    """Return a grey picture with a seven in `box` (left, top, width, height as shares of the side)."""
    picture = Image.new("L", (side, side), ground)
    left, top, width, height = (share * side for share in box)
    points = [(left + x * width, top + y * height) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, fill=ink, width=max(2, round(0.1 * height)), joint="curve")
    return picture


def assert_like_mnist(tensor: NDArray[np.float32]) -> None:
    assert tensor.shape == (1, 1, 28, 28)
    assert tensor.dtype == np.float32
    assert tensor.min() == 0
    assert tensor.max() <= 1
    rows, columns = (np.flatnonzero(tensor[0, 0].any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    ink = tensor[0, 0] / tensor.sum()
    middle = np.arange(28) + 0.5
    assert abs(float(ink.sum(axis=1) @ middle) - 14) <= 2
    assert abs(float(ink.sum(axis=0) @ middle) - 14) <= 2


@given(
    side=st.integers(60, 300),
    left=st.floats(0.1, 0.4),
    top=st.floats(0.1, 0.4),
    size=st.floats(0.3, 0.5),
    ground=st.integers(0, 255),
    contrast=st.integers(60, 255),
)
def test_place_size_and_colours_do_not_matter(
    side: int, left: float, top: float, size: float, ground: int, contrast: int
) -> None:
    ink = ground + contrast if ground + contrast <= 255 else max(0, ground - contrast)
    if abs(ink - ground) < 60:
        ink = 255 - ground if abs(255 - 2 * ground) >= 60 else 255
    tensor = image.prepare(drawn(side, (left, top, 0.7 * size, size), ground, ink))
    assert_like_mnist(tensor)
    usual = image.prepare(drawn(200, (0.3, 0.3, 0.35, 0.5), 0, 255))
    assert np.corrcoef(tensor.ravel(), usual.ravel())[0, 1] > 0.8


def test_mnist_pictures_pass_unchanged(test_data: Split) -> None:
    pixels = (test_data.images[:2000] * 255).round().byte().numpy()
    unchanged = 0
    for index in range(2000):
        tensor = image.prepare(Image.fromarray(pixels[index, 0]))
        assert_like_mnist(tensor)
        unchanged += np.array_equal(tensor[0], test_data.images[index].numpy())
    assert unchanged >= 1998  # the rest are a pixel off the 20×20 box of their own authors


def test_orientation_is_obeyed() -> None:
    upright = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.info["exif"] = exif.tobytes()
    turned.getexif()[0x0112] = 6
    assert np.array_equal(image.prepare(turned), image.prepare(upright))


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_ink_may_be_in_the_alpha_alone(colour: tuple[int, int, int]) -> None:
    mask = drawn(100, (0.3, 0.3, 0.3, 0.4), 0, 255)
    picture = Image.new("RGBA", mask.size, (*colour, 0))
    picture.putalpha(mask)
    tensor = image.prepare(picture)
    assert_like_mnist(tensor)
    assert np.corrcoef(tensor.ravel(), image.prepare(mask).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_modes_give_the_same(mode: str) -> None:
    grey = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    assert np.corrcoef(image.prepare(grey.convert(mode)).ravel(), image.prepare(grey).ravel())[0, 1] > 0.98


def test_a_mode_without_brightness_and_a_damaged_orientation() -> None:
    with pytest.raises(image.PictureError, match="mode LAB"):
        image.prepare(Image.new("LAB", (40, 40)))
    picture = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    expected = image.prepare(picture)
    picture.info["exif"] = b"Exif\x00\x00not a header"
    assert np.array_equal(image.prepare(picture), expected)


def test_sixteen_bits_give_the_same() -> None:
    grey = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.corrcoef(image.prepare(deep).ravel(), image.prepare(grey).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (50, 20)])
def test_blank_pictures_hold_no_digit(level: int, size: tuple[int, int]) -> None:
    with pytest.raises(image.NoDigitError):
        image.prepare(Image.new("L", size, level))


def test_nan_in_a_float_picture_is_ground() -> None:
    values = np.asarray(drawn(100, (0.3, 0.3, 0.3, 0.4), 0, 255)).astype(np.float32)
    values[0, 0] = np.nan
    assert_like_mnist(image.prepare(Image.fromarray(values)))
    with pytest.raises(image.NoDigitError):
        image.prepare(Image.fromarray(np.full((9, 9), np.nan, dtype=np.float32)))
