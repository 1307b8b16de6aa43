"""Temperature scaling, and the calibration error that remains.

Guo, Pleiss, Sun and Weinberger: *On Calibration of Modern Neural Networks* (2017).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
"""Equal-width bins of confidence, as in the paper."""

FOLDS = 5
"""Parts of the validation images; each is judged at the temperature that the others gave."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy.

    Attributes:
        counts: answers in each bin, `[15]`; bin i holds confidences in (i/15, (i+1)/15].
        confidence: mean confidence in each bin, 0 where it is empty.
        accuracy: share of correct answers in each bin, 0 where it is empty.
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]: |confidence - accuracy|, averaged over the answers."""
        gaps = np.abs(np.subtract(self.confidence, self.accuracy))
        return float((gaps * self.counts).sum() / sum(self.counts))


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the temperature in [0.05, 20] that makes the labels most likely, rounded to six decimals.

    `logits` are float32 `[N, labels]` of images that were not trained on, `labels` class indices, int64 `[N]`.
    """

    def loss(log_temperature: float) -> float:
        return -_mean_log_likelihood(logits.astype(np.float64) / np.exp(log_temperature), labels)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def choose_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return what `fit_temperature` finds, or 1 where that does not help images that it was not fitted on.

    It helps where, over the images of `FOLDS` folds, each at the temperature fitted on the other folds, the labels are
    more likely and the calibration error is smaller than without a temperature. The arguments are as there.
    """
    fold = np.arange(len(labels)) % FOLDS
    scaled = logits.astype(np.float64)
    for held_out in range(FOLDS):
        rest = fold != held_out
        scaled[~rest] /= fit_temperature(logits[rest], labels[rest])
    likelier = _mean_log_likelihood(scaled, labels) > _mean_log_likelihood(logits, labels)
    closer = reliability(scaled, labels, 1.0).error < reliability(logits, labels, 1.0).error
    return fit_temperature(logits, labels) if likelier and closer else 1.0


def _mean_log_likelihood(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    return float(log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels].mean())


def reliability(logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float) -> Reliability:
    """Return confidence against accuracy of logits, `[N, labels]` with N > 0, at a temperature.

    `labels` are class indices, int64 `[N]`.
    """
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    share = 1 / np.maximum(counts, 1)
    return Reliability(
        counts=tuple(counts.tolist()),
        confidence=tuple((np.bincount(bins, weights=confidence, minlength=BINS) * share).tolist()),
        accuracy=tuple((np.bincount(bins, weights=correct, minlength=BINS) * share).tolist()),
    )
