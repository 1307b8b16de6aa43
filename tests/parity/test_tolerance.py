import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_edge.formats.scheme import FLOAT32, INT8_TOLERANCE, Tolerance
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.tolerance import (
    NO_GOALS,
    Goals,
    excess_of,
    required_tolerance,
    round_up,
    violations,
)
from mnist_edge.percent import percent_down, percent_up, share_of

FP32_TOLERANCE = FLOAT32.tolerance


@given(st.floats(1e-12, 1e12))
def test_the_tolerance_that_would_have_passed_would_have_passed(difference: float) -> None:
    suggested = round_up(difference)
    assert suggested == float(f"{suggested:.3g}")
    assert difference <= suggested <= difference * 1.011
    assert round_up(0.0) == 0


def test_the_required_tolerance_holds_at_every_batch_size() -> None:
    comparisons = [
        Comparison(batch=1, max_abs_diff=1.334e-5, mean_abs_diff=0.0, agreement=1.0, accuracy=0.98, images=100),
        Comparison(batch=1_000, max_abs_diff=0.0, mean_abs_diff=0.0, agreement=0.99, accuracy=0.97, images=100),
    ]
    required = required_tolerance(comparisons, 0.975)
    assert (required.max_abs_diff, required.min_agreement) == (1.34e-5, 0.99)
    assert required.max_accuracy_drop == pytest.approx(0.005)
    tolerance = Tolerance((1, 1_000), required.max_abs_diff, required.min_agreement, required.max_accuracy_drop)
    assert not [line for comparison in comparisons for line in violations(comparison, tolerance, 0.975)]
    assert required_tolerance(comparisons[1:], 0.9).max_accuracy_drop == 0


def test_violations_give_figures_and_the_tolerance_that_would_have_passed() -> None:
    comparison = Comparison(
        batch=1, max_abs_diff=0.01234, mean_abs_diff=0.001, agreement=0.9971, accuracy=0.9701, images=9
    )
    lines = list(violations(comparison, FP32_TOLERANCE, reference_accuracy=0.9785))
    assert lines == [
        "largest |Δlogit| is 0.0123 at batch 1, allowed 0.0001 (0.0124 would have passed)",
        "99.71% of the answers are the same at batch 1, required 100.00% (99.71% would have passed)",
        "accuracy is 0.84 points lower at batch 1, allowed 0.00 (0.84 would have passed)",
    ]
    within = dataclasses.replace(comparison, max_abs_diff=9.0, mean_abs_diff=1.0, agreement=0.998, accuracy=0.9775)
    assert list(violations(within, INT8_TOLERANCE, reference_accuracy=0.9785)) == []
    assert len(list(violations(dataclasses.replace(within, agreement=0.9979), INT8_TOLERANCE, 0.9786))) == 2


def test_one_answer_of_many_is_seen_in_what_would_have_passed() -> None:
    changed = Comparison(
        batch=1, max_abs_diff=0, mean_abs_diff=0, agreement=1 - 1 / 40_000, accuracy=0.99, images=40_000
    )
    lines = list(violations(changed, FP32_TOLERANCE, reference_accuracy=0.99 + 1 / 40_000))
    assert lines == [
        "99.99% of the answers are the same at batch 1, required 100.00% (99.99% would have passed)",
        "accuracy is 0.01 points lower at batch 1, allowed 0.00 (0.01 would have passed)",
    ]
    close = Goals(min_agreement=np.float64(0.99998), max_accuracy_drop=np.float64(0.000_02)).tighten(INT8_TOLERANCE)
    assert list(violations(changed, close, reference_accuracy=0.99 + 1 / 40_000)) == [
        "99.99% of the answers are the same at batch 1, required 99.998% (99.99% would have passed)"
        "; 1 of 40,000 answers differs, of so few none may",
        "accuracy is 0.01 points lower at batch 1, allowed 0.002 (0.01 would have passed)",
    ]


@pytest.mark.parametrize(
    ("images", "changed", "least", "more"),
    [
        (36, 1, 0.998, "; 1 of 36 answers differs, of so few none may"),
        (499, 2, 0.998, "; 2 of 499 answers differ, of so few none may"),
        (500, 2, 0.998, ""),
        (9_999, 1, 0.9999, "; 1 of 9,999 answers differs, of so few none may"),
        (10_000, 2, 0.9999, ""),
    ],
)
def test_answers_are_counted_where_one_of_so_few_images_is_too_many(
    images: int, changed: int, least: float, more: str
) -> None:
    share = (images - changed) / images
    found = Comparison(batch=1, max_abs_diff=1, mean_abs_diff=1, agreement=share, accuracy=1, images=images)
    (line,) = violations(found, dataclasses.replace(INT8_TOLERANCE, min_agreement=least), 1.0)
    assert line.endswith(f"would have passed){more}")
    (line,) = violations(dataclasses.replace(found, max_abs_diff=0), FP32_TOLERANCE, 1.0)
    assert line.endswith("would have passed)")


def test_a_percentage_is_the_share_that_is_meant() -> None:
    assert all(share_of(hundredths / 100) == hundredths / 10_000 for hundredths in range(10_001))


@example(0.999, 0.0)
@given(st.floats(0, 1), st.floats(0, 1))
def test_shares_that_would_have_passed_would_have_passed(agreement: float, drop: float) -> None:
    found = Comparison(batch=1, max_abs_diff=0, mean_abs_diff=0, agreement=agreement, accuracy=1 - drop, images=9)
    passing = Tolerance((1,), None, share_of(float(percent_down(agreement))), share_of(float(percent_up(drop))))
    assert list(violations(found, passing, reference_accuracy=1)) == []
    assert agreement - passing.min_agreement <= 1.001e-4
    assert passing.max_accuracy_drop - drop <= 1.001e-4


def test_an_infinite_difference_suggests_no_tolerance() -> None:
    comparison = Comparison(1, float("inf"), float("inf"), 1.0, 1.0, 9)
    assert list(violations(comparison, FP32_TOLERANCE, 1.0)) == ["some logits are not finite at batch 1"]
    assert excess_of(float("inf"), FP32_TOLERANCE, "here") == "largest |Δlogit| is inf here, allowed 0.0001"
    assert excess_of(1e-4, FP32_TOLERANCE, "here") is None
    assert excess_of(float("inf"), INT8_TOLERANCE, "here") is None


def test_a_goal_tightens_and_never_loosens() -> None:
    strict = Goals(max_abs_diff=1e-6, min_agreement=0.999, max_accuracy_drop=0.0)
    assert strict.tighten(INT8_TOLERANCE) == dataclasses.replace(
        INT8_TOLERANCE, max_abs_diff=1e-6, min_agreement=0.999, max_accuracy_drop=0.0
    )
    loose = Goals(max_abs_diff=5.0, min_agreement=0.5, max_accuracy_drop=0.5)
    assert loose.tighten(FP32_TOLERANCE) == FP32_TOLERANCE
    assert NO_GOALS.tighten(INT8_TOLERANCE) == INT8_TOLERANCE


@pytest.mark.parametrize("goal", [float("nan"), float("inf")])
def test_a_goal_that_is_not_a_number_is_refused(goal: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(max_abs_diff=goal)
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(min_agreement=goal)
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(max_accuracy_drop=goal)


@pytest.mark.parametrize(
    ("goals", "message"),
    [
        ({"min_agreement": 99.9}, r"the goal min_agreement is 99\.9, expected a finite number in \[0, 1\]"),
        ({"min_agreement": -0.1}, r"min_agreement is -0\.1"),
        ({"max_accuracy_drop": 2}, r"max_accuracy_drop is 2, expected a finite number in \[0, 1\]"),
        ({"max_accuracy_drop": -0.01}, r"max_accuracy_drop is -0\.01"),
        ({"max_abs_diff": -1e-4}, r"max_abs_diff is -0\.0001, expected a finite number from 0"),
        ({"max_bytes": -1}, r"max_bytes is -1, expected a finite number from 0"),
    ],
)
def test_a_goal_that_nothing_or_everything_keeps_is_refused(goals: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Goals(**goals)


def test_the_outermost_goals_are_accepted() -> None:
    assert Goals(max_abs_diff=0.0, min_agreement=1.0, max_accuracy_drop=0.0, max_bytes=0)
    assert Goals(min_agreement=0.0, max_accuracy_drop=1.0)
