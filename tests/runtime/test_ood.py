import numpy as np
import pytest

from mnist_edge.runtime.ood import energy_score
from mnist_edge.types import Logits


def logits(highest: float) -> Logits:
    return np.array([highest, *[-5.0] * 9], dtype=np.float32)


def test_the_energy_score_is_the_log_of_the_summed_exponentials() -> None:
    values = np.random.default_rng(0).normal(0, 3, 10).astype(np.float32)
    assert energy_score(values, 1.5) == pytest.approx(float(np.log(np.exp(values / 1.5).sum())), rel=1e-6)
    assert energy_score(logits(2000)) == pytest.approx(2000)
