"""The answer to one picture."""

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import Any


class Status(StrEnum):
    """What became of one picture."""

    OK = "ok"
    UNCERTAIN = "uncertain"
    NO_DIGIT = "no_digit"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Prediction:
    """The answer to one picture.

    Attributes:
        path: the picture's file, or None where it came as bytes, picture or array.
        status: whether there is an answer, and whether it can be relied on.
        label: the most probable label of the model's task, or None without an answer.
        digit: the label as a number where all labels of the task are digits; else None, and None without an answer.
        confidence: probability of the label, in [0, 1], or None without an answer.
        probabilities: of each of `labels`, adding up to 1; empty without an answer.
        labels: of the model's task.
        model: file name of the model.
        message: what was wrong; empty where nothing was.
    """

    path: str | None
    status: Status
    label: str | None
    digit: int | None
    confidence: float | None
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    model: str
    message: str = ""

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most probable labels with their probabilities, the most probable first.

        There are none without an answer, and at most as many as the task has labels.

        Raises:
            ValueError: the count is below 0.
        """
        if count < 0:
            raise ValueError(f"count is {count}, expected 0 or more")
        ranked = sorted(zip(self.labels, self.probabilities, strict=False), key=lambda pair: -pair[1])
        return ranked[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON types, without the message, which is for people, and the labels of the task."""
        return {
            "path": self.path,
            "status": self.status.value,
            "label": self.label,
            "digit": self.digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


Scored = tuple[int, tuple[float, ...], float, bool]
"""Index of the most probable label, probabilities, energy above the threshold, and whether the answer can be relied on.

A tuple, since an object costs more than what is done with it.
"""


def digits_of(labels: tuple[str, ...]) -> tuple[int | None, ...]:
    """Return labels as numbers where each of them is written in digits, else None for each."""
    if all(label.isascii() and label.isdecimal() for label in labels):
        return tuple(int(label) for label in labels)
    return (None,) * len(labels)


def score(logits: list[float], temperature: float) -> tuple[int, tuple[float, ...], float, float]:
    """Return the index of the greatest of two logits or more, the probabilities (softmax), the energy and the margin.

    The logits are divided by the temperature first; energy and margin are those of `mnist_edge.training.ood`. In plain
    Python, which for ten numbers is faster than numpy.
    """
    highest = max(logits)
    weights = [exp((logit - highest) / temperature) for logit in logits]
    total = sum(weights)
    best = logits.index(highest)
    margin = (highest - max(logits[:best] + logits[best + 1 :])) / temperature
    return best, tuple([weight / total for weight in weights]), highest / temperature + log(total), margin
