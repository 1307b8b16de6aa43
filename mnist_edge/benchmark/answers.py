"""How right an artifact is: what its export has found, which is in the manifest beside it."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_edge.artifact.manifest import read_manifest
from mnist_edge.errors import UserError
from mnist_edge.intervals import wilson_interval


@dataclass(frozen=True)
class Answers:
    """An artifact's answers to the test images.

    Attributes:
        images: on how many.
        accuracy: share of them answered correctly, in [0, 1].
        agreement: share with the trained model's answer, in [0, 1]; None where that is not known.
        max_abs_diff: largest |Δlogit| from the trained model; None where that is not known, or not finite.
    """

    images: int
    accuracy: float
    agreement: float | None = None
    max_abs_diff: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % interval (Wilson), in [0, 1]."""
        return wilson_interval(round(self.accuracy * self.images), self.images)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "interval_95": list(self.interval),
            "agreement": self.agreement,
            "max_abs_diff": self.max_abs_diff,
        }


def recorded_answers(path: Path, digest: str) -> Answers | None:
    """Return what the manifest in an artifact's folder says of it, or None where it says nothing of these bytes."""
    entries: list[dict[str, Any]] = []
    with contextlib.suppress(UserError):  # a damaged manifest is as good as none: the rest is measured all the same
        entries = read_manifest(path.parent)
    for entry in entries:
        if entry["file"] == path.name and entry["sha256"] == digest:
            return _answers(entry.get("parity"))
    return None


def _answers(parity: object) -> Answers | None:
    if not isinstance(parity, Mapping):
        return None
    images, accuracy = parity.get("images"), _number(parity.get("accuracy"), 1)
    if not isinstance(images, int) or images < 1 or accuracy is None:
        return None
    return Answers(images, accuracy, _number(parity.get("agreement"), 1), _number(parity.get("max_abs_diff"), math.inf))


def _number(value: object, most: float) -> float | None:
    """Return a number from 0 to `most`, or None."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= most else None
