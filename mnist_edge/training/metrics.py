"""Accuracy with its interval, per-class precision and recall, confusion matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.intervals import wilson_interval
from mnist_edge.training.calibration import reliability


@dataclass(frozen=True)
class Evaluation:
    """How a model answers a labeled set.

    Attributes:
        images: number of images.
        correct: number answered correctly.
        interval: the accuracy's 95 % Wilson score interval, in [0, 1].
        precision: for each class, the share of its answers that is correct; 0 where it is never the answer.
        recall: for each class, the share of its images that is found; 0 where it has none.
        confusion: `confusion[label][answer]` counts images.
        calibration_error: expected |confidence - accuracy| over 15 bins, in [0, 1].
    """

    images: int
    correct: int
    interval: tuple[float, float]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Share of the images answered correctly, in [0, 1]."""
        return self.correct / self.images

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON types."""
        return {
            "images": self.images,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "interval_95": list(self.interval),
            "calibration_error": self.calibration_error,
            "precision": list(self.precision),
            "recall": list(self.recall),
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate_logits(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float = 1.0) -> Evaluation:
    """Compare logits, float32 `[N, classes]`, with class indices, int64 `[N]`, with N > 0.

    Confidences are those at `temperature`.
    """
    # half a second that a command which only compares need not wait for
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = np.arange(logits.shape[1])
    answers = logits.argmax(axis=1)
    correct = int((answers == labels).sum())
    precision, recall, _, _ = precision_recall_fscore_support(labels, answers, labels=classes, zero_division=0)
    return Evaluation(
        images=len(labels),
        correct=correct,
        interval=wilson_interval(correct, len(labels)),
        precision=tuple(precision.tolist()),
        recall=tuple(recall.tolist()),
        confusion=tuple(tuple(row) for row in confusion_matrix(labels, answers, labels=classes).tolist()),
        calibration_error=reliability(logits, labels, temperature).error,
    )
