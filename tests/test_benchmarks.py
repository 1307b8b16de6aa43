"""What the benchmarks find that does not depend on how busy the machine is; `make bench` measures the rest."""

import numpy as np
import pytest

from benchmarks import runner_speed, training_speed, verify_speed
from tests.conftest import ROOT


@pytest.mark.slow
def test_both_loops_train_with_the_same_losses() -> None:
    plain, robust, same = training_speed.measure(images=2_000, repeats=1)
    assert same
    assert len(plain) == len(robust) == 1
    assert min(*plain, *robust) > 0


@pytest.mark.slow
def test_the_report_on_every_file_is_measured() -> None:
    ratios = verify_speed.measure("mlp", repeats=1, formats=["numpy"])
    assert ratios.keys() == {"mnist-mlp.npz", "mnist-mlp-int8.npz"}
    assert min(ratios.values()) > 0


@pytest.mark.slow
def test_a_cold_answer_keeps_its_memory_budget() -> None:
    ratio, megabytes = runner_speed.cold(ROOT / "examples" / "seven.png", repeats=3)
    assert ratio > 0
    assert megabytes <= 1.5 * runner_speed.MEMORY_BAR


@pytest.mark.slow
def test_a_warm_answer_is_measured_for_both_types_of_array() -> None:
    digit = runner_speed.digits(1)[0]
    for array in (digit, digit / np.float32(255)):
        assert runner_speed.warm(array, repeats=1) > 0


def test_the_runner_requires_four_packages() -> None:
    assert runner_speed.requirements() == runner_speed.RUNNER_PACKAGES
