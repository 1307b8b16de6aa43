import dataclasses

import numpy as np
import pytest

from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.doubt import doubtful, evidence

CONTRACT = Contract(checkpoint="", architecture="mlp", precision="fp32", opset=18, producer={}, certainty=7.0)


def logits(highest: float) -> np.ndarray:
    return np.array([highest, *[-5.0] * 9], dtype=np.float32)


def test_evidence_is_the_log_of_the_summed_exponentials() -> None:
    values = np.random.default_rng(0).normal(0, 3, 10).astype(np.float32)
    assert evidence(values, 1.5) == pytest.approx(float(np.log(np.exp(values / 1.5).sum())), rel=1e-6)
    assert evidence(logits(2000)) == pytest.approx(2000)


def test_little_evidence_or_a_rival_makes_an_answer_uncertain() -> None:
    assert doubtful(logits(6.9), CONTRACT)
    assert not doubtful(logits(7.1), CONTRACT)
    assert doubtful(logits(20), CONTRACT, rivals=1)
    assert not doubtful(logits(0.1), dataclasses.replace(CONTRACT, certainty=0.0))
