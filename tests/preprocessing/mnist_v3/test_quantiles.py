import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from mnist_edge.preprocessing.mnist_v3.quantiles import median, quantiles

values = arrays(np.float32, array_shapes(max_dims=2), elements=st.floats(-100, 100, width=32))


@given(values)
def test_the_median_is_numpys(rows: NDArray[np.float32]) -> None:
    assert np.array_equal(median(rows), np.median(rows, axis=-1))


@given(values, st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_quantiles_are_values_with_as_many_below_as_asked(rows: NDArray[np.float32], shares: list[float]) -> None:
    for share, value in zip(shares, quantiles(rows, *shares), strict=True):
        rank = round(share * (rows.size - 1))
        assert (rows < value).sum() <= rank <= (rows <= value).sum() - 1
