import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.errors import NoDigitError
from mnist_edge.preprocessing.mnist_v3.background import (
    crop_border,
    estimate_background,
    extract_ink,
    flatten_illumination,
    is_light_on_dark,
    otsu_threshold,
)
from mnist_edge.preprocessing.mnist_v3.grayscale import luminance
from mnist_edge.types import GrayImage
from tests.preprocessing.strokes import boxed, gradient, ink, picture_of

SIZE = (160, 200)


def digit(number: int = 5, pen: float = 9) -> GrayImage:
    return ink(number, SIZE, (45, 40, 70, 110), pen)


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("frame", [0, 2, 12])
def test_a_frame_does_not_flip_the_polarity(number: int, light: bool, frame: int) -> None:
    drawn = digit(number)
    if frame:
        drawn = np.maximum(drawn, boxed(SIZE, 0, frame))
    gray = luminance(picture_of(0.9, drawn, light=light))
    assert is_light_on_dark(gray[crop_border(gray)]) is light


@given(number=st.integers(0, 9), pen=st.floats(3, 18), light=st.booleans(), low=st.floats(0.5, 0.9))
def test_neither_pen_nor_gradient_flips_the_polarity(number: int, pen: float, light: bool, low: float) -> None:
    gray = luminance(picture_of(gradient(SIZE, low, 0.9), digit(number, pen), light=light))
    assert is_light_on_dark(gray) is light


@pytest.mark.parametrize("number", range(10))
def test_a_digit_that_fills_its_picture_keeps_its_polarity(number: int) -> None:
    drawn = ink(number, (80, 120), (6, 6, 68, 108), 12)
    for light in (False, True):
        assert is_light_on_dark(luminance(picture_of(0.9, drawn, light=light))) is light


@pytest.mark.parametrize("width", [3, 20, 30])
def test_what_is_inside_a_frame(width: int) -> None:
    gray = luminance(picture_of(0.9, np.maximum(digit(), boxed(SIZE, 0, width))))
    rows, columns = crop_border(gray)
    assert abs(rows.start - width) <= 1
    assert abs(columns.stop - (SIZE[0] - width)) <= 1
    assert crop_border(luminance(picture_of(0.9, digit()))) == (slice(0, SIZE[1]), slice(0, SIZE[0]))


@pytest.mark.parametrize("number", range(10))
def test_a_bold_digit_that_fills_its_picture_keeps_its_polarity(number: int) -> None:
    drawn = ink(number, (100, 140), (10, 10, 80, 120), 24)
    for light in (False, True):
        assert is_light_on_dark(luminance(picture_of(0.9, drawn, light=light))) is light


@pytest.mark.parametrize("number", [2, 3, 5, 7])
def test_a_bold_stroke_along_the_edge_is_ink(number: int) -> None:
    drawn = ink(number, (120, 150), (0, 14, 120, 122), 28)
    extracted = extract_ink(luminance(picture_of(0.9, drawn, noise=0.01)))
    assert (extracted[drawn > 0.9] > 0.4).mean() >= 0.95
    assert (extracted[drawn == 0] > 0.4).mean() <= 0.01


def test_the_background_follows_a_gradient_and_the_edge_of_a_shadow() -> None:
    for ground in (gradient(SIZE, 0.3, 0.9), np.where(gradient(SIZE, 0, 1) < 0.4, 0.4, 0.9).astype(np.float32)):
        under = estimate_background((ground * (1 - 0.7 * digit())).astype(np.float32))
        assert np.abs(under - ground).max() <= 0.15
        assert np.abs(under - ground).mean() <= 0.02


@given(number=st.integers(0, 9), strength=st.floats(0.1, 0.9), low=st.floats(0.4, 0.9))
def test_extracted_ink_is_the_ink_whatever_its_strength_and_light(number: int, strength: float, low: float) -> None:
    drawn = digit(number)
    extracted = extract_ink(
        flatten_illumination((gradient(SIZE, low, 0.95) * (1 - strength * drawn)).astype(np.float32))
    )
    assert extracted.min() == 0
    assert extracted.max() == 1
    assert np.corrcoef(extracted.ravel(), drawn.ravel())[0, 1] > 0.9


def test_a_slope_is_taken_away_and_even_light_left_alone() -> None:
    slope = gradient(SIZE, 0.4, 0.9) + gradient((SIZE[1], SIZE[0]), 0.0, 0.1).T
    assert np.ptp(flatten_illumination(slope)) <= 0.1
    even = luminance(picture_of(0.9, digit()))
    assert flatten_illumination(even) is even


def test_grain_is_not_ink() -> None:
    extracted = extract_ink(luminance(picture_of(0.8, digit(), strength=0.5, noise=0.04)))
    assert extracted[digit() > 0.9].min() >= 0.4
    assert (extracted[digit() == 0] > 0.4).mean() <= 0.001


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_an_even_picture_holds_no_digit(level: float) -> None:
    with pytest.raises(NoDigitError, match="no ink"):
        extract_ink(np.full((30, 40), level, dtype=np.float32))


@pytest.mark.parametrize("least", [1.5, 1.0, 0.9, 0.5, 0.02])
@pytest.mark.parametrize("span", [0.0, 1e-7, 1.1e-6, 3e-6, 1e-5, 2.1e-5, 1e-4])
def test_otsu_takes_values_that_are_as_good_as_equal(least: float, span: float) -> None:
    values = np.linspace(least, least + span, 100, dtype=np.float32)
    assert values.min() <= otsu_threshold(values) <= values.max()


def test_otsu_separates_two_classes() -> None:
    values = np.concatenate([np.full(50, 0.2), np.full(10, 0.9)]).astype(np.float32)
    assert 0.2 < otsu_threshold(values) <= 0.9
    assert otsu_threshold(np.full(5, 0.3, dtype=np.float32)) == pytest.approx(0.3)
