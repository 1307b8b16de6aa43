"""Pooling in NumPy: against the definition, and without the memory of all windows at once."""

import tracemalloc

import numpy as np
import pytest

from mnist_edge.formats.c.network import Layer, Window
from mnist_edge.formats.c.reference import pool
from mnist_edge.types import AnyArray


def pooling(kind: str, kernel: int, stride: int, padding: int, outputs: int) -> Layer:
    side = (outputs - 1) * stride + kernel - 2 * padding
    two = (kernel, kernel), (stride, stride), (1, 1), (padding, padding)
    window = Window((side, side, 2), *two, (outputs, outputs, 2))
    window.check(kind)
    return Layer("pool", kind, window)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_a_maximum_is_the_largest_of_its_window(dtype: type) -> None:
    layer = pooling("MaxPool2d", 3, 2, 1, 4)
    values: AnyArray = np.random.default_rng(0).integers(-99, 99, (2, *layer.window.size)).astype(dtype)
    if dtype is np.float64:
        values[0, 2, 2, 0] = np.nan
    expected: AnyArray = np.empty((2, *layer.window.outputs), dtype)
    for y, x in np.ndindex(4, 4):
        rows, columns = (slice(max(0, 2 * at - 1), 2 * at + 2) for at in (y, x))
        expected[:, y, x] = values[:, rows, columns].max(axis=(1, 2))
    np.testing.assert_array_equal(pool(layer, values), expected)


@pytest.mark.parametrize("kind", ["MaxPool2d", "AvgPool2d"])
def test_a_large_window_takes_no_memory_for_each_of_its_places(kind: str) -> None:
    layer = pooling(kind, 24, 1, 0, 24)
    values = np.zeros((3, *layer.window.size))
    tracemalloc.start()
    pool(layer, values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * values.nbytes
