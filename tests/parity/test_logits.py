import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnist_edge.parity.logits import absolute_differences, label_margin, largest_logit, top2_margin
from mnist_edge.types import Labels, Logits

some_logits = arrays(np.float32, (4, 10), elements=st.floats(-50, 50, width=32))
some_labels = arrays(np.int64, 4, elements=st.integers(0, 9))


@given(some_logits)
def test_the_margin_is_between_the_two_greatest(logits: Logits) -> None:
    ordered = np.sort(logits, axis=1)
    assert (top2_margin(logits) == ordered[:, -1] - ordered[:, -2]).all()


@given(some_logits, some_labels)
def test_the_margin_of_the_label_is_positive_where_it_wins(logits: Logits, labels: Labels) -> None:
    margins = label_margin(logits, labels)
    wins = margins > 0
    assert (logits.argmax(axis=1)[wins] == labels[wins]).all()
    assert np.allclose(margins[wins], top2_margin(logits)[wins])
    assert (margins[logits.argmax(axis=1) != labels] <= 0).all()


@given(some_logits, some_logits)
def test_differences_are_taken_in_double_precision(one: Logits, other: Logits) -> None:
    assert (absolute_differences(one, other) == np.abs(one.astype(np.float64) - other.astype(np.float64))).all()


def test_what_is_not_finite_differs_infinitely() -> None:
    bad = np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)
    assert absolute_differences(np.zeros((1, 4), np.float32), bad).tolist() == [[np.inf, np.inf, np.inf, 1]]
    assert absolute_differences(bad, bad).tolist() == [[np.inf, np.inf, np.inf, 0]]


@given(some_logits)
def test_the_largest_logit_is_the_one_farthest_from_zero_on_either_side(logits: Logits) -> None:
    assert largest_logit(logits) == largest_logit(-logits) == max(abs(float(value)) for value in logits.flat)
