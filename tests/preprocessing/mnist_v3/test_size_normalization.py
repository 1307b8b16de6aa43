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
    erode_disk,
    normalize_size,
    normalize_stroke_width,
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


def test_erosion_takes_as_much_from_ink_at_the_edge() -> None:
    bar = np.ones((21, 11), dtype=np.float32)
    assert np.array_equal(crop_to_ink(erode_disk(bar, 3.5)), np.ones((15, 5)))
    for radius in (0.2, 1.0, 2.25, 3.4):
        assert np.array_equal(np.pad(erode_disk(bar, radius), 4), erode_disk(np.pad(bar, 4), radius))


@pytest.mark.parametrize("number", range(10))
def test_thinning_does_not_prolong_strokes(number: int) -> None:
    bold = ink(number, (200, 300), (50, 50, 100, 200), 70)
    thin = normalize_stroke_width(resize_to_side(crop_to_ink(bold), DIGIT_SIDE * SUPERSAMPLING))
    assert thin.sum() < 0.95 * resize_to_side(crop_to_ink(bold), DIGIT_SIDE * SUPERSAMPLING).sum()
    edges = (thin[0], thin[-1], thin[:, 0], thin[:, -1])
    assert max(float(edge.max()) for edge in edges) <= 0.2


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
