import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mnist_edge.preprocessing.mnist_v3.cuts import CUTS_PER_HEIGHT, MAX_CUTS, SLANTS, between, find_cuts
from mnist_edge.preprocessing.mnist_v3.size_normalization import stroke_width
from mnist_edge.types import GrayImage

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
INK = arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32))


def crossed(ink: GrayImage, columns: list[int]) -> float:
    """Return the ink that has ink on both sides of a line, which is behind the pixel of each row that is given."""
    width = ink.shape[1]
    inside = [(row, column) for row, column in enumerate(columns) if 0 <= column < width - 1]
    return sum(float(min(ink[row, column], ink[row, column + 1])) for row, column in inside)


@given(INK)
def test_a_cut_is_a_straight_line_whose_cost_is_the_ink_that_it_goes_through(ink: GrayImage) -> None:
    height, width = ink.shape
    for cut in find_cuts(ink):
        up = (height - 1) / 2 - np.arange(height)
        lines = [np.clip(np.rint(cut.middle + slant * up), -1, width - 1) for slant in SLANTS]
        assert any((line == cut.columns).all() for line in lines)
        costs = [crossed(ink, line.astype(int).tolist()) for line in lines]
        assert cut.strokes * max(1.0, stroke_width(ink)) == pytest.approx(min(costs), abs=1e-4)


@given(INK)
def test_what_lies_between_the_cuts_is_all_of_the_ink(ink: GrayImage) -> None:
    """Cuts that cross leave what is between them to both sides."""
    cuts = find_cuts(ink)
    parts = [between(ink, left, right) for left, right in zip([None, *cuts], [*cuts, None], strict=True)]
    assert (np.max(parts, axis=0) == ink).all()
    for cut in cuts:
        assert (between(ink, None, cut) + between(ink, cut, None) == ink).all(), "no pixel is on both sides of a cut"


@pytest.mark.parametrize("column", range(20, 30))
def test_a_gap_of_one_column_is_found_wherever_it_is(column: int) -> None:
    ink = np.ones((40, 60), np.float32)
    ink[:, column] = 0
    assert min(cut.strokes for cut in find_cuts(ink)) == 0


@pytest.mark.parametrize("slant", [-0.3, 0.0, 0.3])
def test_two_strokes_that_touch_are_cut_between_them_as_they_are_slanted(slant: float) -> None:
    first, second = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.float32)
    for row in range(40):
        at = 20 + round(slant * (19.5 - row))
        first[row, at : at + 4] = second[row, at + 12 : at + 16] = 1
    ink = np.maximum(first, second)
    ink[18:22, 24:32] = 1
    parting = [cut for cut in find_cuts(ink) if 24 <= cut.middle < 31]
    assert parting
    for cut in parting:
        assert cut.strokes == pytest.approx(4 / stroke_width(ink), rel=1e-3)
        assert (between(ink, None, cut) >= first).all()
        assert (between(ink, cut, None) >= second).all()


def test_there_is_a_cut_in_every_part_of_the_width() -> None:
    ink = np.zeros((24, 96), np.float32)
    ink[10:13] = 1
    middles = [cut.middle for cut in find_cuts(ink)]
    assert len(middles) == 4 * CUTS_PER_HEIGHT
    assert max(np.diff(middles)) <= 2 * 24 / CUTS_PER_HEIGHT


def test_ink_that_is_longer_than_any_number_has_no_more_cuts() -> None:
    assert len(find_cuts(np.ones((8, 1600), np.float32))) == MAX_CUTS
