import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.preprocessing.mnist_v3.size_normalization import (
    CENTER,
    DIGIT_SIDE,
    STROKE_WIDTHS,
    SUPERSAMPLING,
    center_in_input,
    center_of_mass,
    crop_to_ink,
    dilate_disk,
    normalize_size,
    resize_to_side,
    stroke_width,
)
from mnist_edge.training.datasets.splits import Split
from tests.preprocessing.strokes import ink


@given(pen=st.floats(2, 20), number=st.sampled_from([0, 1, 5, 7]))
def test_the_stroke_width(pen: float, number: int) -> None:
    drawn = ink(number, (300, 300), (50, 50, 200, 200), pen)
    assert stroke_width(drawn) == pytest.approx(pen, rel=0.2, abs=0.4)


def test_stroke_widths_are_as_measured_on_mnist(test_data: Split) -> None:
    widths = [stroke_width(image[0]) for image in test_data.images[:1000].numpy()]
    assert np.quantile(widths, (0.5, 0.95)) == pytest.approx(STROKE_WIDTHS, abs=0.12)


@given(pen=st.floats(3, 40), number=st.sampled_from([0, 2, 3, 5, 7]))
def test_every_stroke_gets_a_width_like_mnists(pen: float, number: int) -> None:
    scaled = normalize_size(ink(number, (300, 300), (50, 50, 200, 200), pen))
    assert max(scaled.shape) == DIGIT_SIDE
    assert STROKE_WIDTHS[0] - 0.7 <= stroke_width(scaled) <= STROKE_WIDTHS[1] + 0.7
    assert scaled.max() >= 0.9


def test_dilation_adds_the_radius_on_every_side() -> None:
    point = np.zeros((21, 21), dtype=np.float32)
    point[10, 10] = 1
    disk = dilate_disk(point, 3.0)
    assert crop_to_ink(disk).shape == (7, 7)
    assert float(disk.sum()) == pytest.approx(np.pi * 3**2, rel=0.05)
    assert np.array_equal(dilate_disk(point, 0.4)[10 - 9 : 11 + 9, 10 - 9 : 11 + 9][9, 9], 1)


@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_resizing_keeps_the_proportions(height: int, width: int) -> None:
    scaled = resize_to_side(np.ones((height, width), dtype=np.float32), DIGIT_SIDE * SUPERSAMPLING)
    assert max(scaled.shape) == DIGIT_SIDE * SUPERSAMPLING
    assert min(scaled.shape) == max(1, round(min(height, width) * DIGIT_SIDE * SUPERSAMPLING / max(height, width)))
    assert scaled.min() == scaled.max() == 1


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 100))
def test_the_center_of_mass_is_in_the_middle_where_it_fits(height: int, width: int, seed: int) -> None:
    field = center_in_input(np.random.default_rng(seed).random((height, width), dtype=np.float32) + 0.01)
    assert field.shape == (28, 28)
    assert np.abs(center_of_mass(field) - CENTER).max() <= 0.51 + 6 * (max(height, width) == 20) * 0.2
