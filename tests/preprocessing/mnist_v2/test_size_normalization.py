import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.preprocessing.mnist_v2.size_normalization import BOX, CENTRE, FINE, PEN, centre_of_mass, crop, draw, grown, pen_width, place, scale
from mnist_edge.training.datasets.mnist import Split
from tests.preprocessing.strokes import ink


@given(pen=st.floats(2, 20), number=st.sampled_from([0, 1, 5, 7]))
def test_the_width_of_the_pen(pen: float, number: int) -> None:
    drawn = ink(number, (300, 300), (50, 50, 200, 200), pen)
    assert pen_width(drawn) == pytest.approx(pen, rel=0.2, abs=0.4)


def test_pen_is_as_measured_on_mnist(test_data: Split) -> None:
    widths = [pen_width(image[0]) for image in test_data.images[:1000].numpy()]
    assert np.quantile(widths, (0.5, 0.95)) == pytest.approx(PEN, abs=0.12)


@given(pen=st.floats(3, 40), number=st.sampled_from([0, 2, 3, 5, 7]))
def test_every_pen_becomes_one_like_those_of_mnist(pen: float, number: int) -> None:
    drawn = draw(ink(number, (300, 300), (50, 50, 200, 200), pen))
    assert max(drawn.shape) == BOX
    assert PEN[0] - 0.7 <= pen_width(drawn) <= PEN[1] + 0.7
    assert drawn.max() >= 0.9


def test_growing_adds_the_radius_on_every_side() -> None:
    point = np.zeros((21, 21), dtype=np.float32)
    point[10, 10] = 1
    disc = grown(point, 3.0)
    assert crop(disc).shape == (7, 7)
    assert float(disc.sum()) == pytest.approx(np.pi * 3**2, rel=0.05)
    assert np.array_equal(grown(point, 0.4)[10 - 9 : 11 + 9, 10 - 9 : 11 + 9][9, 9], 1)


@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_scaling_keeps_the_proportions(height: int, width: int) -> None:
    scaled = scale(np.ones((height, width), dtype=np.float32), BOX * FINE)
    assert max(scaled.shape) == BOX * FINE
    assert min(scaled.shape) == max(1, round(min(height, width) * BOX * FINE / max(height, width)))
    assert scaled.min() == scaled.max() == 1


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 100))
def test_the_centre_of_mass_is_in_the_middle_where_it_fits(height: int, width: int, seed: int) -> None:
    field = place(np.random.default_rng(seed).random((height, width), dtype=np.float32) + 0.01)
    assert field.shape == (28, 28)
    assert np.abs(centre_of_mass(field) - CENTRE).max() <= 0.51 + 6 * (max(height, width) == 20) * 0.2
