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
        digit: the label with the greatest probability, or None without an answer.
        confidence: its probability in [0, 1], or None.
        probabilities: of the digits 0..9, adding up to 1, or empty.
        model: file name of the model.
        message: what was wrong, empty where nothing was.
    """

    path: str | None
    status: Status
    digit: int | None
    confidence: float | None
    probabilities: tuple[float, ...]
    model: str
    message: str = ""

    def top(self, count: int) -> list[tuple[int, float]]:
        """Return the `count` likeliest digits with their probabilities, the likeliest first; none without an answer."""
        ranked = sorted(enumerate(self.probabilities), key=lambda pair: -pair[1])
        return ranked[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON types; the message is for people and not in it."""
        return {
            "path": self.path,
            "status": self.status.value,
            "digit": self.digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


def score(logits: list[float], temperature: float) -> tuple[int, tuple[float, ...], float]:
    """Return which logit is the greatest, the probabilities (softmax), and the evidence for any digit at all.

    The evidence is log Σ exp(logit / temperature); see `mnist_edge.runtime.ood`. The logits are divided by the
    temperature before all else. In plain Python, which for ten numbers is quicker than numpy.
    """
    highest = max(logits)
    weights = [exp((logit - highest) / temperature) for logit in logits]
    total = sum(weights)
    return logits.index(highest), tuple([weight / total for weight in weights]), highest / temperature + log(total)
