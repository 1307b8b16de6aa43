import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.mnist_v3 import grayscale
from mnist_edge.preprocessing.mnist_v3.grayscale import is_layered, luminance

SPANS = [(0, 65535, "uint16"), (-7, 70000, "int32"), (1e-3, 2e-3, "float32")]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_a_gray_picture_is_as_bright_in_every_mode(mode: str) -> None:
    values = np.zeros((20, 30), dtype=np.uint8)
    values[5:15, 10:20] = 255
    source = Image.fromarray(values)
    picture = source.convert("RGB").convert(mode) if mode not in ("PA",) else source.convert("P").convert("PA")
    assert np.abs(luminance(picture) - values / 255).max() <= 0.02


@pytest.mark.parametrize(("low", "high", "dtype"), SPANS)
def test_a_deep_picture_is_stretched_to_its_own_range(low: float, high: float, dtype: str) -> None:
    assert luminance(Image.fromarray(np.array([[low, high]], dtype=dtype))).tolist() == [[0.0, 1.0]]


def test_values_that_are_not_finite_take_the_middle_one() -> None:
    values = np.array([[np.nan, 0, 1, 1, 1, np.inf, -np.inf]], dtype=np.float32)
    assert luminance(Image.fromarray(values)).tolist() == [[1, 0, 1, 1, 1, 1, 1]]
    assert not luminance(Image.fromarray(np.full((3, 3), np.nan, dtype=np.float32))).any()


@pytest.mark.parametrize(("color", "ground"), [((0, 0, 0), 1.0), ((255, 255, 255), 0.0)])
def test_transparent_parts_are_laid_over_what_the_ink_is_not(color: tuple[int, int, int], ground: float) -> None:
    picture = Image.new("RGBA", (10, 10), (*color, 0))
    picture.paste((*color, 255), (3, 3, 6, 6))
    values = luminance(picture)
    assert values[0, 0] == ground
    assert values[4, 4] == 1 - ground


@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("ink", [0, 255])
def test_the_color_of_what_is_transparent_does_not_count(ink: int, hidden: int) -> None:
    picture = Image.new("RGBA", (10, 10), (hidden, hidden, hidden, 0))
    picture.paste((ink, ink, ink, 255), (3, 3, 6, 6))
    expected = np.full((10, 10), 1 - ink // 255, np.float32)
    expected[3:6, 3:6] = ink // 255
    assert (luminance(picture) == expected).all()


@pytest.mark.parametrize("mode", ["LA", "P", "RGB"])
def test_every_mode_may_have_transparent_parts(mode: str) -> None:
    values = np.full((10, 10), 7, np.uint8)
    values[3:6, 3:6] = 0
    picture = Image.fromarray(values).convert("RGB" if mode == "RGB" else "L")
    if mode == "LA":
        picture.putalpha(Image.fromarray(np.where(values == 0, np.uint8(255), np.uint8(0))))
    else:
        picture = picture.convert(mode)
        picture.info["transparency"] = (7, 7, 7) if mode == "RGB" else 7
    assert ((luminance(picture) == 0) == (values == 0)).all()
    assert luminance(picture).max() == 1


def with_full_alpha(picture: Image.Image, mode: str) -> Image.Image:
    """Return an RGB picture with an alpha of 255 everywhere, or with a transparent color that no pixel has."""
    if mode == "RGBA":
        return picture.convert("RGBA")
    if mode in ("LA", "PA"):
        return picture.convert("L").convert(mode[0]).convert(mode)
    palette = picture.quantize(200) if mode == "P" else picture
    palette.info["transparency"] = bytes([255] * 200) if mode == "P" else (1, 2, 3)
    return palette


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB"])
def test_alpha_of_255_everywhere_is_no_alpha(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    colors = np.random.default_rng(0).integers(5, 256, (61, 47, 3), dtype=np.uint8)
    picture = with_full_alpha(Image.fromarray(colors), mode)
    assert picture.has_transparency_data
    plain = picture.convert("RGBA").convert("RGB")
    for strip in (1 << 20, 200):
        monkeypatch.setattr(grayscale, "MAX_STRIP_PIXELS", strip)
        for box in (None, (5, 7, 41, 55)):
            assert np.array_equal(luminance(picture, box, max_side=16), luminance(plain, box, max_side=16))


def test_one_pixel_that_is_not_opaque_gives_a_picture_alpha() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    alpha = np.full((61, 47, 1), 255, np.uint8)
    alpha[60, 46] = 254
    layered = luminance(Image.fromarray(np.dstack([colors, alpha])), (0, 0, 30, 30), max_side=10)
    assert not np.array_equal(layered, luminance(Image.fromarray(colors), (0, 0, 30, 30), max_side=10))


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("transparent", [0, 255])
def test_a_transparent_value_that_no_pixel_has_is_no_alpha(mode: str, transparent: int) -> None:
    """The values are counted, without a copy of them in four times the size."""
    picture = Image.new("L", (3, 2), 255)
    picture = picture.convert(mode) if mode != "P" else picture
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3, "RGB")
    picture.info["transparency"] = transparent
    assert is_layered(picture) == (transparent == 255)
    if transparent == 0:
        picture.putpixel((2, 1), 0)
        assert is_layered(picture)


def test_modes_whose_alpha_is_not_read_are_not_layered() -> None:
    for mode in ("I;16", "F", "La", "LAB"):
        picture = Image.new(mode, (3, 2))
        picture.info["transparency"] = 0
        assert not is_layered(picture)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "F"])
def test_strips_and_reduction_give_the_means_of_squares(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 255, (61, 47)).astype(np.uint8)
    picture = Image.fromarray(values).convert(mode) if mode != "I;16" else Image.fromarray(values.astype(np.uint16))
    whole = luminance(picture, (5, 7, 41, 55), max_side=16)
    monkeypatch.setattr(grayscale, "MAX_STRIP_PIXELS", 200)
    assert np.allclose(luminance(picture, (5, 7, 41, 55), max_side=16), whole)
    means = values[7:55, 5:41].reshape(16, 3, 12, 3).mean(axis=(1, 3)) / 255
    span = (means - means.min()) / np.ptp(means) if mode in ("I;16", "F") else means
    assert np.abs(whole - span).max() <= 0.006


def test_a_mode_without_brightness_is_one_error() -> None:
    with pytest.raises(PictureError, match="mode LAB has no brightness"):
        luminance(Image.new("LAB", (4, 4)))
