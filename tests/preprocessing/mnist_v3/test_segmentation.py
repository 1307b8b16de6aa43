import numpy as np
import pytest

from mnist_edge.preprocessing.mnist_v3.segmentation import Segmentation, ruled_lines, segment_digit
from mnist_edge.types import GrayImage
from tests.preprocessing.strokes import boxed, ink, ruled

SIZE = (300, 200)
BOX = (120, 50, 60, 100)
PEN = 8


def digit(number: int = 5) -> GrayImage:
    return ink(number, SIZE, BOX, PEN)


def assert_found(found: Segmentation, expected: GrayImage, share: float = 0.98, more: float = 0.02) -> None:
    inside = expected > 0.5
    assert (found.ink[inside] > 0.4).mean() >= share
    assert (found.ink[~inside] > 0.5).sum() <= more * inside.sum()


@pytest.mark.parametrize("number", range(10))
def test_specks_are_left_out(number: int) -> None:
    drawn = digit(number)
    dirty = drawn.copy()
    for row, column in np.random.default_rng(number).integers(0, 190, (40, 2)):
        if not drawn[max(0, row - 25) : row + 25, max(0, column - 25) : column + 25].any():
            dirty[row : row + 3, column : column + 3] = 1
    found = segment_digit(dirty)
    assert_found(found, drawn)
    assert found.other_digits == 0


@pytest.mark.parametrize("number", range(10))
def test_a_frame_around_the_digit_is_left_out(number: int) -> None:
    assert_found(segment_digit(np.maximum(digit(number), boxed(SIZE, 15, 3))), digit(number))


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("slope", [0.0, 0.02])
@pytest.mark.parametrize("down", [False, True])
def test_ruled_lines_are_left_out(number: int, slope: float, down: bool) -> None:
    lines = ruled((SIZE[1], SIZE[0]), 47, slope).T if down else ruled(SIZE, 47, slope)
    assert_found(segment_digit(np.maximum(digit(number), lines)), digit(number), 0.9, 0.1)


@pytest.mark.parametrize("number", range(10))
def test_a_digit_in_a_cell_of_squared_paper_is_found(number: int) -> None:
    across = np.roll(ruled(SIZE, 130, width=7), 30, axis=0)
    down = np.roll(ruled((SIZE[1], SIZE[0]), 100, width=7).T, 95, axis=1)
    assert_found(segment_digit(np.maximum.reduce([digit(number), across, down])), digit(number))


@pytest.mark.parametrize("number", range(10))
def test_a_thin_digit_that_fills_its_picture_has_no_ruled_lines(number: int) -> None:
    drawn = ink(number, (300, 300), (2, 2, 296, 296), 4)
    assert_found(segment_digit(drawn), drawn)


def test_strokes_and_short_lines_are_not_ruled_lines() -> None:
    assert not np.any(ruled_lines(digit(7) > 0.5))
    mask = np.zeros((100, 200), dtype=bool)
    mask[50:52, 30:170] = True
    assert not np.any(ruled_lines(mask))


def test_what_reaches_in_from_the_edge_is_left_out() -> None:
    table = digit()
    table[:, :40] = 1
    table[180:] = 1
    assert_found(segment_digit(table), digit())


@pytest.mark.parametrize("number", range(10))
def test_a_digit_that_lies_along_the_edge_is_not_left_out_for_a_speck(number: int) -> None:
    drawn = ink(number, (100, 160), (0, 0, 100, 160), 30)
    drawn[:, :8] = drawn[:, -8:] = 0
    drawn = drawn[:, 8:-8]
    drawn[75:79, 2:6] = drawn[40:43, -6:-2] = 1
    assert_found(segment_digit(drawn), drawn)


def test_a_small_digit_is_not_left_out_for_the_corner_of_a_shadow() -> None:
    drawn = ink(4, (400, 300), (260, 60, 15, 25), 3)
    corner = np.zeros_like(drawn)
    corner[180:, :90] = 1
    assert_found(segment_digit(np.maximum(drawn, corner)), drawn)


def test_a_small_digit_in_a_wide_frame_is_found() -> None:
    drawn = ink(2, (400, 400), (180, 160, 40, 80), 6)
    assert_found(segment_digit(np.maximum(drawn, boxed((400, 400), 10, 20))), drawn)


def test_a_broken_digit_keeps_its_fragments() -> None:
    broken = digit()
    broken[75:82] = 0
    assert_found(segment_digit(broken), broken)


def test_a_digit_beside_it_is_counted() -> None:
    both = np.maximum(digit(2), ink(8, SIZE, (200, 50, 60, 100), PEN))
    found = segment_digit(both)
    assert found.other_digits == 1
    assert segment_digit(digit(2)).other_digits == 0


def test_a_small_mark_in_a_zero_is_not_a_digit_in_a_frame() -> None:
    zero = digit(0)
    zero[85:115, 148:154] = 1
    assert_found(segment_digit(zero), zero)
