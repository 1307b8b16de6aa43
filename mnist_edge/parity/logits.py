"""Arithmetic that several statistics of logits share."""

import numpy as np
from numpy.typing import NDArray

from mnist_edge.types import Labels, Logits


def absolute_differences(trained: Logits, exported: Logits) -> NDArray[np.float64]:
    """Return |Δlogit|, `[N, classes]`, infinite where a logit is not a finite number."""
    with np.errstate(invalid="ignore"):  # the difference of two infinities
        differences = np.abs(exported.astype(np.float64) - trained)
    differences[~np.isfinite(differences)] = np.inf
    return differences


def largest_logit(logits: Logits) -> float:
    """Return how far the logits reach from 0; infinity or NaN where one is not a finite number."""
    return float(np.abs(logits).max())


def top2_margin(logits: Logits) -> NDArray[np.float32]:
    """Return by how much the greatest of each image's logits exceeds the second, `[N]`."""
    two = np.partition(logits, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def label_margin(logits: NDArray[np.floating], labels: Labels) -> NDArray[np.float64]:
    """Return by how much the logit of the label is above the greatest other one, `[N]`; negative where that wins."""
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    result: NDArray[np.float64] = own - others.max(axis=1)
    return result
