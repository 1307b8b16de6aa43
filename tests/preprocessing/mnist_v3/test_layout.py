from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.preprocessing.mnist_v3.layout import as_model_input, is_mnist_layout
from mnist_edge.preprocessing.mnist_v3.size_normalization import CENTER, center_of_mass
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import AnyArray, GrayImage


def reference(field: GrayImage) -> bool:
    """Return the same as `is_mnist_layout`, step by step and in double precision."""
    if field.shape != (28, 28) or field[0].any() or field.max() < 0.9:
        return False
    rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    cut_off = rows[-1] == 27 and height == 19 and width < 20
    return bool((max(height, width) == 20 or cut_off) and np.abs(center_of_mass(field) - CENTER).max() <= 1)


@given(st.integers(0, 2**32 - 1))
def test_what_is_taken_as_input_is_like_mnist(seed: int) -> None:
    """Of strokes that are placed anywhere, only those are that MNIST's authors would have placed there."""
    random = np.random.default_rng(seed)
    field = np.zeros((28, 28), dtype=np.float32)
    top, left = random.integers(0, 28, 2)
    patch = field[top : top + random.integers(18, 23), left : left + random.integers(1, 23)]
    patch[...] = random.random(patch.shape, dtype=np.float32) * random.choice([1, 1, 1.01])
    if random.random() < 0.2:
        field[tuple(random.integers(0, 28, 2))] = random.choice([np.nan, -0.1, 1.1, np.inf])
    images = as_model_input(field)
    good = bool(np.isfinite(field).all() and field.min() >= 0 and field.max() <= 1 and reference(field))
    assert (images is not None) == good
    if images is not None:
        assert np.array_equal(images[0, 0], field)


def laid_out(top: int, left: int, height: int, width: int, center: tuple[int, int] = (14, 14)) -> GrayImage:
    """Return a rectangle of faint ink with one white pixel, which most of the ink is in."""
    field = np.zeros((28, 28), np.float32)
    field[top : top + height, left : left + width] = 2**-10
    field[center] = 1
    return field


@pytest.mark.slow
def test_ink_around_the_limits_is_judged_as_step_by_step() -> None:
    """Boxes a pixel too small or too large, at every edge, with a center of mass up to three pixels off."""
    accepted = 0
    for top, left, height, width in product(range(10), (0, 4, 8), range(18, 22), (12, 19, 20, 21)):
        for center in product(range(max(top, 12), 18), (12, 13, 14, 15, 17)):
            field = laid_out(top, left, height, width, center)
            expected = reference(field)
            accepted += expected
            assert is_mnist_layout(field) == expected, (top, left, height, width, center)
    assert accepted > 500


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [-0.1, -2.0, 1.001, 255.0, np.nan, np.inf, -np.inf])
def test_a_value_outside_the_range_of_brightness_is_not_given_to_the_model(value: float, dtype: type) -> None:
    field: AnyArray = laid_out(4, 4, 20, 20).astype(dtype)
    assert as_model_input(field) is not None
    field[10, 10] = value
    assert as_model_input(field) is None


def test_bytes_are_divided_by_255_and_other_whole_numbers_are_left_to_the_preprocessing() -> None:
    array = np.zeros((28, 28), np.uint8)
    array[4:24, 4:24] = np.resize([1, 2, 3], (20, 20))
    array[14, 14] = 255
    images = as_model_input(array)
    assert images is not None
    assert np.array_equal(images[0, 0], array.astype(np.float32) / np.float32(255))
    for dtype in (np.uint16, np.uint64, np.int64):
        assert as_model_input(array.astype(dtype)) is None


def test_mnist_is_laid_out_like_mnist(test_data: Split) -> None:
    fields = test_data.images[:2000, 0].numpy()
    assert [is_mnist_layout(field) for field in fields] == [reference(field) for field in fields]
    assert sum(map(is_mnist_layout, fields)) >= 1998  # the rest are a pixel off the 20×20 box of their own authors


def test_other_shapes_and_types_are_not() -> None:
    assert not is_mnist_layout(np.ones((28, 29), dtype=np.float32))
    assert not is_mnist_layout(np.zeros((28, 28), dtype=np.float32))
    assert as_model_input(np.zeros((28, 28, 3), dtype=np.uint8)) is None
    assert as_model_input(np.zeros((28, 28), dtype=np.uint16)) is None
