"""What a scheme allows, given how good the trained model is."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import FLOAT32, INT8_TOLERANCE, Precision

SCHEMES = [scheme for spec in FORMATS.values() for scheme in spec.schemes]


def test_where_a_model_errs_more_rounding_may_change_more_answers() -> None:
    """Of a model that is wrong on 8 % of the images, one answer in 250 may change: one for every twenty errors."""
    for scheme in SCHEMES:
        if scheme.precision is Precision.INT8:
            assert scheme.tolerance_at(0.92) == replace(INT8_TOLERANCE, min_agreement=0.996)
            assert scheme.tolerance_at(0.9927) == INT8_TOLERANCE
        else:
            assert scheme.tolerance_at(0.92) == scheme.tolerance
    assert FLOAT32.tolerance_at(0.5).min_agreement == 1.0


def test_the_bound_grows_with_logits_that_are_larger_than_usual() -> None:
    assert FLOAT32.tolerance.for_logits(26.7) == FLOAT32.tolerance.for_logits(50) == FLOAT32.tolerance
    assert FLOAT32.tolerance.for_logits(150).max_abs_diff == pytest.approx(3e-4)
    assert FLOAT32.bound_for(50) == FLOAT32.device_bound
    assert FLOAT32.bound_for(50.1) == FLOAT32.bound_for(99.9) == 2 * FLOAT32.device_bound
    assert INT8_TOLERANCE.for_logits(150) == INT8_TOLERANCE
    for what in (math.inf, math.nan):
        assert FLOAT32.tolerance.for_logits(what) == FLOAT32.tolerance
        assert FLOAT32.bound_for(what) == FLOAT32.device_bound


@given(st.floats(0, 1))
def test_no_model_is_so_bad_that_most_answers_may_change(accuracy: float) -> None:
    for scheme in SCHEMES:
        tolerance = scheme.tolerance_at(accuracy)
        assert 0.95 <= tolerance.min_agreement <= scheme.tolerance.min_agreement
        assert replace(tolerance, min_agreement=scheme.tolerance.min_agreement) == scheme.tolerance
