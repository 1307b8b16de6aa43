import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mnist_edge.preprocessing.mnist_v3.seams import SIDESTEP_COST, between, find_seams
from mnist_edge.preprocessing.mnist_v3.size_normalization import stroke_width
from mnist_edge.types import GrayImage

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
INK = arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32))


@given(INK)
def test_a_seam_is_a_path_whose_cost_is_the_ink_under_it_and_its_steps(ink: GrayImage) -> None:
    height, width = ink.shape
    for seam in find_seams(ink):
        steps = np.abs(np.diff(seam.columns))
        assert len(seam.columns) == height
        assert ((seam.columns >= 0) & (seam.columns < width)).all()
        assert steps.max(initial=0) <= 1
        cost = float(ink[np.arange(height), seam.columns].sum()) + SIDESTEP_COST * int(steps.sum())
        assert seam.strokes == pytest.approx(cost / max(1.0, stroke_width(ink)), abs=1e-4)


@given(INK)
def test_what_lies_between_the_seams_is_all_of_the_ink(ink: GrayImage) -> None:
    seams = find_seams(ink)
    parts = [between(ink, left, right) for left, right in zip([None, *seams], [*seams, None], strict=True)]
    assert (np.sum(parts, axis=0) == ink).all()


def test_two_strokes_that_touch_are_cut_where_they_do() -> None:
    ink = np.zeros((40, 30), np.float32)
    ink[:, :5] = ink[:, 25:] = 1
    ink[18:22] = 1
    seams = find_seams(ink)
    assert any(5 <= seam.columns[20] < 25 and len(set(seam.columns)) == 1 for seam in seams)
    assert min(seam.strokes for seam in seams) == pytest.approx(4 / stroke_width(ink), rel=1e-3)
