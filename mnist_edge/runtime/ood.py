"""Is it a digit at all? The model answers anything with one of ten digits; its logits tell how much it found of any."""

import math

import numpy as np
from numpy.typing import NDArray


def evidence(logits: NDArray[np.float32], temperature: float = 1.0) -> float:
    """Return how much of a digit the model found: the free energy log Σ exp(logit / temperature), the sign turned.

    Liu, Wang, Owens and Li: *Energy-based Out-of-distribution Detection* (2020). `logits` are float32 `[10]`.
    """
    scaled = logits.astype(np.float64) / temperature
    highest = float(scaled.max())
    return highest + math.log(float(np.exp(scaled - highest).sum()))
