"""Out-of-distribution score: a model answers anything with one of its labels; its logits show how far to believe it."""

import math

import numpy as np

from mnist_edge.types import Logits


def energy_score(logits: Logits, temperature: float = 1.0) -> float:
    """Return log Σ exp(logit / temperature): the higher, the more the image is like those that the model knows.

    It is -E / temperature, where E is the free energy of Liu, Wang, Owens and Li: *Energy-based Out-of-distribution
    Detection* (2020).

    Args:
        logits: of one image, float32 `[classes]`.
        temperature: by which the logits are divided.
    """
    scaled = logits.astype(np.float64) / temperature
    highest = float(scaled.max())
    return highest + math.log(float(np.exp(scaled - highest).sum()))
