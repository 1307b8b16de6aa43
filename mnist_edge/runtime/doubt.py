"""Is it a digit at all? The model answers anything with one of ten digits; its logits tell how much it found of any."""

import math

import numpy as np
from numpy.typing import NDArray

from mnist_edge.runtime.contract import Contract


def evidence(logits: NDArray[np.float32], temperature: float = 1.0) -> float:
    """Return how much of a digit the model found: the free energy log Σ exp(logit / temperature), the sign turned.

    Liu, Wang, Owens and Li: *Energy-based Out-of-distribution Detection* (2020). `logits` are float32 `[10]`.
    """
    scaled = logits.astype(np.float64) / temperature
    highest = float(scaled.max())
    return highest + math.log(float(np.exp(scaled - highest).sum()))


def doubtful(logits: NDArray[np.float32], contract: Contract, rivals: int = 0) -> bool:
    """Say whether the answer is uncertain: the picture may hold no digit, or more than one.

    `logits` are the model's, float32 `[10]`; `rivals` is what `image.see` counted beside the digit.
    """
    return rivals > 0 or evidence(logits, contract.temperature) < contract.certainty
