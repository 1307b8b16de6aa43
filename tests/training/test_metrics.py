import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mnist_edge.intervals import wilson_interval
from mnist_edge.training.metrics import evaluate_logits

pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60)


@given(pairs)
def test_the_numbers_are_those_counted_by_hand(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in pairs])
    logits = np.eye(10, dtype=np.float32)[[answer for _, answer in pairs]]
    result = evaluate_logits(logits, labels)
    assert result.images == len(pairs)
    assert result.correct == sum(label == answer for label, answer in pairs)
    low, high = result.interval
    assert 0 <= low <= result.accuracy <= high <= 1
    for digit in range(10):
        right = pairs.count((digit, digit))
        found = sum(label == digit for label, _ in pairs)
        given_ = sum(answer == digit for _, answer in pairs)
        assert result.recall[digit] == pytest.approx(right / found if found else 0)
        assert result.precision[digit] == pytest.approx(right / given_ if given_ else 0)
        assert result.confusion[digit] == tuple(pairs.count((digit, answer)) for answer in range(10))


def test_the_interval_is_wilsons() -> None:
    """Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662."""
    labels = np.zeros(263, dtype=np.int64)
    logits = np.eye(10, dtype=np.float32)[[0] * 81 + [1] * 182]
    assert evaluate_logits(logits, labels).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 20_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_is_that_of_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)
