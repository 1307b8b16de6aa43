"""How much evidence of a digit an answer must have: calibrated on digits that the model was not trained on."""

import numpy as np
from numpy.typing import NDArray

from mnist_edge.export.parity import Reference, eager_predictor, in_batches
from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.doubt import evidence
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.data import Split

FALSE_ALARMS = 0.01
"""Share of the held-back digits that are called uncertain; of the test images, which are harder, more are."""

MOST_FALSE_ALARMS = 0.03
"""A contract that calls a greater share of the test images uncertain is refused."""


def calibrated_certainty(checkpoint: Checkpoint, held_back: Split) -> float:
    """Return the evidence that all but `FALSE_ALARMS` of the held-back images have, at least 0, to three decimals."""
    logits = in_batches(eager_predictor(checkpoint), held_back.images.numpy(), 1_000)
    return max(0.0, round(float(np.quantile(_evidences(logits, checkpoint.temperature), FALSE_ALARMS)), 3))


def certainty_problems(contract: Contract, reference: Reference) -> list[str]:
    """Return a line if the contract's certainty is no number, or calls too many of the test images uncertain."""
    certainty = contract.certainty
    if not isinstance(certainty, float):
        return [f"its contract's certainty is {certainty!r}, expected a number"]
    alarms = float((_evidences(reference.logits, reference.checkpoint.temperature) < certainty).mean())
    if alarms <= MOST_FALSE_ALARMS:
        return []
    return [
        f"its contract's certainty {certainty} calls {alarms:.1%} of the test images uncertain, "
        f"expected at most {MOST_FALSE_ALARMS:.0%}"
    ]


def _evidences(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    return np.array([evidence(row, temperature) for row in logits])
