import numpy as np
import pytest

from mnist_edge.runtime.ood import evidence


def logits(highest: float) -> np.ndarray:
    return np.array([highest, *[-5.0] * 9], dtype=np.float32)


def test_evidence_is_the_log_of_the_summed_exponentials() -> None:
    values = np.random.default_rng(0).normal(0, 3, 10).astype(np.float32)
    assert evidence(values, 1.5) == pytest.approx(float(np.log(np.exp(values / 1.5).sum())), rel=1e-6)
    assert evidence(logits(2000)) == pytest.approx(2000)
