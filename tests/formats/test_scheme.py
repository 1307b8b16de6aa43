"""What a scheme allows, given how good the trained model is."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import FLOAT32, INT8_TOLERANCE, Precision
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.tolerance import violations

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


@pytest.mark.parametrize("least", [0.9, 0.9875, 0.9975, 0.9995, 0.9996, 0.9998, 0.9999])
def test_a_change_is_taken_where_the_verdict_takes_it(least: float) -> None:
    images = round(1 / (1 - least))
    tolerance = replace(INT8_TOLERANCE, min_agreement=least, max_accuracy_drop=1 / images)
    for number, taken in ((images, True), (images - 1, False)):
        right = np.arange(number) > 0
        found = Comparison(1, 0.0, 0.0, float(np.mean(right)), float(np.mean(right)), number)
        assert tolerance.lets_one_be_lost(number) is taken
        assert (not list(violations(found, tolerance, 1.0))) is taken
        assert replace(tolerance, max_accuracy_drop=1.0).lets_one_be_lost(number) is taken
    assert not replace(tolerance, max_accuracy_drop=1 / (images + 1)).lets_one_be_lost(images)
    assert replace(tolerance, max_accuracy_drop=1 / images - 1e-13).lets_one_be_lost(images)  # as `violations` rounds


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
