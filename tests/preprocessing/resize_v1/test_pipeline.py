import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import PictureError, UserError
from mnist_edge.preprocessing.decode import decode
from mnist_edge.preprocessing.resize_v1 import for_input
from mnist_edge.preprocessing.result import Preprocessing
from mnist_edge.types import AnyArray, Images, TensorSpec

RNG = np.random.default_rng(0)


def resize(*shape: int) -> Preprocessing:
    return for_input(TensorSpec("image", shape))


def tensor(picture: Image.Image, *shape: int) -> Images:
    return resize(*shape).preprocess(picture).tensor


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 96, 96), (3, 20, 31)])
def test_a_png_of_the_inputs_size_passes_bit_for_bit(shape: tuple[int, int, int]) -> None:
    pixels = RNG.integers(0, 256, shape, np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels[0] if shape[0] == 1 else pixels.transpose(1, 2, 0)).save(written, "PNG")
    found = tensor(decode(written.getvalue()), *shape)
    assert found.shape == (1, *shape)
    assert found.dtype == np.float32
    assert np.array_equal(found[0], pixels.astype(np.float32) / np.float32(255))
    for array in (pixels, found[0]):
        same = resize(*shape).as_model_input(array)
        assert same is not None
        assert np.array_equal(same, found)


def test_the_output_is_what_was_asked_for() -> None:
    output = resize(3, 20, 31).output
    assert (output.name, output.shape, output.range, output.polarity) == (
        "image",
        (3, 20, 31),
        (0.0, 1.0),
        "as-pictured",
    )


@pytest.mark.parametrize("shape", [(2, 8, 8), (4, 8, 8), (1, 97, 8), (3, 8, 300)])
def test_a_shape_that_it_does_not_give_is_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        UserError, match=r"1 or 3 channels and at most 96×96.*: give channels first, .* \[1, sensors, times\]$"
    ):
        resize(*shape)


def test_light_stays_light_and_dark_stays_dark() -> None:
    picture = Image.new("L", (200, 100), 255)
    picture.paste(0, (0, 0, 100, 100))
    found = tensor(picture, 1, 10, 10)[0, 0]
    assert (found[:, :4] == 0).all()
    assert (found[:, 6:] == 1).all()


def test_a_picture_of_other_proportions_is_squeezed() -> None:
    picture = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None], 4, axis=0))
    found = tensor(picture, 1, 16, 16)[0, 0]
    assert np.allclose(found, found[0])
    assert np.allclose(found[0], (np.arange(16) * 16 + 7.5) / 255, atol=1.5 / 255)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, (1, 1, 1)),
        ("L", 51, (0.2, 0.2, 0.2)),
        ("P", 0, (0, 0, 0)),
        ("LA", (0, 0), (1, 1, 1)),
        ("RGB", (255, 0, 51), (1, 0, 0.2)),
        ("RGBA", (255, 0, 51, 0), (1, 1, 1)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (255, 128, 128), (1, 1, 1)),
        ("HSV", (0, 255, 255), (1, 0, 0)),
        ("I;16", 65_535, (1, 1, 1)),
        ("I", 13_107, (0.2, 0.2, 0.2)),
        ("F", 0.2, (0.2, 0.2, 0.2)),
    ],
)
def test_every_mode_gives_its_color(mode: str, color: float | tuple[int, ...], expected: tuple[float, ...]) -> None:
    picture = Image.new(mode, (40, 30), color)
    assert np.allclose(tensor(picture, 3, 5, 5)[0, :, 2, 2], expected, atol=0.5 / 255)
    assert tensor(picture, 1, 5, 5).shape == (1, 1, 5, 5)


def test_a_mode_without_color_is_an_error_of_the_picture() -> None:
    with pytest.raises(PictureError):
        tensor(Image.new("La", (40, 30)), 3, 5, 5)


def test_floats_without_a_known_range_are_stretched_by_their_own() -> None:
    values = np.array([[-3.0, np.nan], [np.inf, 7.0]], np.float32)
    assert tensor(Image.fromarray(values), 1, 2, 2)[0, 0].tolist() == [[0, 0], [1, 1]]


def test_a_picture_is_set_upright() -> None:
    picture = Image.new("L", (20, 20))
    picture.paste(255, (0, 0, 20, 10))
    exif = picture.getexif()
    exif[0x0112] = 3
    written = io.BytesIO()
    picture.save(written, "JPEG", exif=exif, quality=95)
    found = tensor(decode(written.getvalue()), 1, 4, 4)[0, 0]
    assert found[0].max() < 0.1
    assert found[3].min() > 0.9


@pytest.mark.parametrize(
    "array",
    [np.zeros((9, 8)), np.full((8, 8), 1.5), np.full((8, 8), np.nan), np.zeros((8, 8), np.int64)],
    ids=["size", "range", "NaN", "integers"],
)
def test_other_arrays_are_prepared_as_pictures(array: AnyArray) -> None:
    assert resize(1, 8, 8).as_model_input(array) is None


def test_a_large_picture_is_not_copied_whole() -> None:
    picture = Image.new("RGBA", (3000, 3000), (0, 255, 0, 255))
    preprocess = resize(3, 64, 64).preprocess
    tracemalloc.start()
    found = preprocess(picture).tensor
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
    assert (found[0, 1] == 1).all()
