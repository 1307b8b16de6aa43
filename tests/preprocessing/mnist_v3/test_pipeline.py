import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_edge.errors import NoDigitError, PictureError
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.preprocessing.mnist_v3 import grayscale, pipeline, preprocess
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import GrayImage, Images
from tests.preprocessing.strokes import ink, picture_of, scattered

READER = open_artifact(read_artifact(BUILTIN_MODELS["cnn"]))

Points = list[tuple[float, float]]
SEVEN: Points = [(0.1, 0.05), (0.9, 0.05), (0.35, 0.95)]
"""A seven as a line in the unit square."""


def drawn(side: int, box: tuple[float, float, float, float], ground: int, ink: int) -> Image.Image:
    """Return a gray picture with a seven in `box` (left, top, width, height as shares of the side)."""
    picture = Image.new("L", (side, side), ground)
    left, top, width, height = (share * side for share in box)
    points = [(left + x * width, top + y * height) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, fill=ink, width=max(2, round(0.1 * height)), joint="curve")
    return picture


def tensor_of(picture: Image.Image) -> Images:
    return preprocess(picture).tensor


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


@pytest.mark.slow
@given(
    number=st.integers(0, 9),
    size=st.integers(40, 300),
    place=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
    pen=st.floats(0.06, 0.14),
    strength=st.floats(0.15, 1),
    light=st.booleans(),
)
def test_place_size_pen_and_colors_do_not_matter(
    number: int, size: int, place: tuple[float, float], pen: float, strength: float, light: bool
) -> None:
    width, height = 400, 360
    left, top = ((by - 0.7 * size * share) * at for by, at, share in zip((width, height), place, (1, 1.4), strict=True))
    box = (left, top, 0.6 * size, size) if top + size < height else (left, 10, 0.6 * size, size)
    picture = picture_of(0.9, ink(number, (width, height), box, max(2, pen * size)), strength, light=light)
    tensor = tensor_of(picture)
    assert_like_mnist(tensor)
    assert READER.predict(tensor)[0].argmax() == number


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_a_small_digit_in_a_large_picture_is_read_again_from_nearer(number: int) -> None:
    small = ink(number, (60, 60), (12, 5, 30, 50), 5)
    drawn = np.zeros((2400, 3000), dtype=np.float32)
    drawn[1700:1760, 2100:2160] = small
    seen = preprocess(picture_of(0.8, drawn, 0.6, noise=0.02))
    assert "close-up" in [stage.name for stage in seen.stages]
    assert READER.predict(seen.tensor)[0].argmax() == number


def test_alpha_is_looked_for_once_in_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Image.Image] = []
    is_layered = grayscale.is_layered

    def counted(picture: Image.Image) -> bool:
        looked.append(picture)
        return is_layered(picture)

    for module in (grayscale, pipeline):
        monkeypatch.setattr(module, "is_layered", counted)
    layered = drawn(2000, (0.6, 0.6, 0.03, 0.03), 235, 20).convert("RGBA")
    layered.putpixel((1999, 1999), (235, 235, 235, 0))
    assert "close-up" in [stage.name for stage in preprocess(layered).stages]
    assert looked == [layered]


def test_digits_that_are_out_of_sight_from_nearer_are_counted() -> None:
    size = (2400, 1200)
    drawn = ink(3, size, (400, 400, 90, 150), 14)
    for number, left in ((5, 700), (8, 1000)):
        drawn = np.maximum(drawn, ink(number, size, (left, 400, 90, 150), 14))
    seen = preprocess(picture_of(0.9, drawn))
    assert "close-up" in [stage.name for stage in seen.stages]
    assert seen.other_digits == 2


LARGE = (2400, 1200)


@pytest.fixture(scope="module")
def centered() -> Images:
    """A five of 90×150 pixels in the middle of a large picture."""
    return tensor_of(picture_of(0.9, ink(5, LARGE, (1150, 500, 90, 150), 14)))


def stage(picture: Image.Image, name: str) -> GrayImage | None:
    return next((stage.image for stage in preprocess(picture).stages if stage.name == name), None)


@pytest.mark.parametrize("left", [4, 2306])
@pytest.mark.parametrize("top", [4, 1046])
def test_a_small_digit_in_a_corner_is_read_as_in_the_middle(left: int, top: int, centered: Images) -> None:
    picture = picture_of(0.9, ink(5, LARGE, (left, top, 90, 150), 14))
    near = stage(picture, "close-up")
    assert near is not None
    assert near[[0, 0, -1, -1], [0, -1, 0, -1]] == pytest.approx(0.9, abs=0.01)
    assert np.corrcoef(tensor_of(picture).ravel(), centered.ravel())[0, 1] > 0.98


def test_a_small_digit_inside_a_border_of_uneven_width_is_read_as_without_it(centered: Images) -> None:
    picture = picture_of(0.9, ink(5, LARGE, (1500, 600, 90, 150), 14))
    for box in ((0, 0, 60, 1200), (0, 0, 2400, 270), (2340, 0, 2400, 1200), (0, 1110, 2400, 1200)):
        picture.paste(40, box)
    assert stage(picture, "close-up") is not None
    assert np.corrcoef(tensor_of(picture).ravel(), centered.ravel())[0, 1] > 0.98


def test_there_is_half_of_its_longer_side_around_a_digit_that_is_read_from_nearer() -> None:
    near = stage(picture_of(0.9, ink(1, LARGE, (1200, 500, 60, 150), 14)), "close-up")
    assert near is not None
    rows, columns = (np.flatnonzero((near < 0.5).any(axis=axis)) for axis in (1, 0))
    around = (rows[0], near.shape[0] - rows[-1], columns[0], near.shape[1] - columns[-1])
    assert around == pytest.approx([np.ptp(rows) / 2] * 4, abs=4)


def test_a_digit_that_is_high_enough_is_not_read_again_for_being_narrow() -> None:
    assert stage(picture_of(0.9, ink(1, LARGE, (1200, 300, 60, 400), 14)), "close-up") is None


def test_the_stages_end_with_the_tensor() -> None:
    picture = picture_of(0.9, ink(4, (100, 100), (30, 20, 40, 60), 6))
    stages = preprocess(picture).stages
    assert [stage.name for stage in stages] == ["brightness", "dark ink", "digit", "stroke width", "model input"]
    assert np.array_equal(stages[-1].image, tensor_of(picture)[0, 0])


def test_prepared_digits_in_black_on_white_are_only_inverted(test_data: Split) -> None:
    pixels = (test_data.images[:200] * 255).round().byte().numpy()
    for index in range(200):
        tensor = tensor_of(Image.fromarray(255 - pixels[index, 0]))
        assert np.abs(tensor[0] - test_data.images[index].numpy()).max() <= 1e-6


def test_faint_digits_are_made_strong(test_data: Split) -> None:
    for index in range(20):
        faint = (test_data.images[index, 0] * 90).round().byte().numpy()
        tensor = tensor_of(Image.fromarray(faint))
        assert tensor.max() >= 0.9
        assert np.corrcoef(tensor.ravel(), test_data.images[index].ravel())[0, 1] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_test_images_as_png_lose_at_most_a_twentieth_of_a_point(name: str, test_data: Split) -> None:
    model = open_artifact(read_artifact(BUILTIN_MODELS[name]))
    right = {"tensors": 0, "files": 0}
    for image_, label in zip(test_data.images.numpy(), test_data.labels.tolist(), strict=True):
        file = io.BytesIO()
        Image.fromarray((image_[0] * 255).round().astype(np.uint8)).save(file, "PNG")
        for kind, tensor in (("tensors", image_[np.newaxis]), ("files", tensor_of(Image.open(file)))):
            right[kind] += int(model.predict(tensor)[0].argmax() == label)
    assert right["files"] >= right["tensors"] - 5


def test_mnist_pictures_pass_unchanged(test_data: Split) -> None:
    pixels = (test_data.images[:2000] * 255).round().byte().numpy()
    unchanged = 0
    for index in range(2000):
        tensor = tensor_of(Image.fromarray(pixels[index, 0]))
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
    assert np.array_equal(tensor_of(turned), tensor_of(upright))


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_ink_may_be_in_the_alpha_alone(color: tuple[int, int, int]) -> None:
    mask = drawn(100, (0.3, 0.3, 0.3, 0.4), 0, 255)
    picture = Image.new("RGBA", mask.size, (*color, 0))
    picture.putalpha(mask)
    tensor = tensor_of(picture)
    assert_like_mnist(tensor)
    assert np.corrcoef(tensor.ravel(), tensor_of(mask).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_modes_give_the_same(mode: str) -> None:
    gray = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    assert np.corrcoef(tensor_of(gray.convert(mode)).ravel(), tensor_of(gray).ravel())[0, 1] > 0.98


def test_a_mode_without_brightness_and_a_damaged_orientation() -> None:
    with pytest.raises(PictureError, match="mode LAB"):
        tensor_of(Image.new("LAB", (40, 40)))
    picture = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    expected = tensor_of(picture)
    picture.info["exif"] = b"Exif\x00\x00not a header"
    assert np.array_equal(tensor_of(picture), expected)


def test_sixteen_bits_give_the_same() -> None:
    gray = drawn(100, (0.3, 0.3, 0.3, 0.4), 255, 0)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    assert np.corrcoef(tensor_of(deep).ravel(), tensor_of(gray).ravel())[0, 1] > 0.99


def test_scattered_specks_are_no_digit() -> None:
    with pytest.raises(NoDigitError, match="too scattered for a digit"):
        tensor_of(scattered())


@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (50, 20)])
def test_blank_pictures_hold_no_digit(level: int, size: tuple[int, int]) -> None:
    with pytest.raises(NoDigitError):
        tensor_of(Image.new("L", size, level))


def test_nan_in_a_float_picture_is_background() -> None:
    values = np.asarray(drawn(100, (0.3, 0.3, 0.3, 0.4), 0, 255)).astype(np.float32)
    values[0, 0] = np.nan
    assert_like_mnist(tensor_of(Image.fromarray(values)))
    with pytest.raises(NoDigitError):
        tensor_of(Image.fromarray(np.full((9, 9), np.nan, dtype=np.float32)))
