"""The budgets, with slack for a busy machine: the best of three runs. `make bench` measures them."""

import pytest

from benchmarks import training_speed, verify_speed


@pytest.mark.slow
def test_training_keeps_its_budgets() -> None:
    plain, robust, same = training_speed.measure(images=8_000, repeats=3)
    assert same
    assert min(plain) <= 2.5 * training_speed.PLAIN_BAR
    assert min(robust) <= 1.5 * training_speed.ROBUST_BAR


@pytest.mark.slow
def test_the_full_report_keeps_its_budget() -> None:
    ratios = verify_speed.measure("mlp", repeats=5)
    assert len(ratios) == 4
    assert max(ratios.values()) <= 1.3 * verify_speed.BAR
