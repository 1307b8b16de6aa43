import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.preprocessing.mnist_v3.layout import as_model_input, is_mnist_layout
from mnist_edge.preprocessing.mnist_v3.size_normalization import CENTER, center_of_mass
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import GrayImage


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


def test_mnist_is_laid_out_like_mnist(test_data: Split) -> None:
    fields = test_data.images[:2000, 0].numpy()
    assert [is_mnist_layout(field) for field in fields] == [reference(field) for field in fields]
    assert sum(map(is_mnist_layout, fields)) >= 1998  # the rest are a pixel off the 20×20 box of their own authors


def test_other_shapes_and_types_are_not() -> None:
    assert not is_mnist_layout(np.ones((28, 29), dtype=np.float32))
    assert not is_mnist_layout(np.zeros((28, 28), dtype=np.float32))
    assert as_model_input(np.zeros((28, 28, 3), dtype=np.uint8)) is None
    assert as_model_input(np.zeros((28, 28), dtype=np.uint16)) is None
