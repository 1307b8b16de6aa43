"""The budgets, with slack for a busy machine: the best of three runs. `make bench` measures them."""

import numpy as np
import pytest

from benchmarks import runner_speed, training_speed, verify_speed
from tests.conftest import ROOT


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


@pytest.mark.slow
def test_a_cold_answer_keeps_its_budgets() -> None:
    ratios, megabytes = zip(
        *(runner_speed.cold(ROOT / "examples" / "seven.png", repeats=5) for _ in range(3)), strict=True
    )
    assert min(ratios) <= 1.5 * runner_speed.COLD_BAR
    assert min(megabytes) <= 1.5 * runner_speed.MEMORY_BAR


@pytest.mark.slow
def test_a_warm_answer_keeps_its_budget() -> None:
    digit = runner_speed.digits(1)[0]
    for array in (digit, digit / np.float32(255)):
        assert min(runner_speed.warm(array, repeats=50) for _ in range(3)) <= 1.25 * runner_speed.WARM_BAR


def test_the_runner_asks_for_four_packages() -> None:
    assert runner_speed.requirements() == runner_speed.RUNNERS_PACKAGES
