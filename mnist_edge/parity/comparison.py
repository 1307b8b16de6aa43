"""An artifact's logits against the trained model's, at one batch size."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mnist_edge.artifact.fields import json_numbers
from mnist_edge.parity.logits import absolute_differences
from mnist_edge.types import Labels, Logits


@dataclass(frozen=True)
class Comparison:
    """An artifact against the trained model, at one batch size.

    Attributes:
        batch: images a call.
        max_abs_diff: largest |Δlogit|; infinite where a logit is not a finite number.
        mean_abs_diff: mean |Δlogit|; the same.
        agreement: share of images with the same top-1 answer, in [0, 1].
        accuracy: share of images answered correctly, in [0, 1].
        images: on how many images.
    """

    batch: int
    max_abs_diff: float
    mean_abs_diff: float
    agreement: float
    accuracy: float
    images: int

    @property
    def where(self) -> str:
        """What was compared, in words."""
        return f"at batch {self.batch}"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON types; an infinite difference is null."""
        return json_numbers(asdict(self))


def compare(logits: Logits, trained: Logits, labels: Labels, batch: int) -> Comparison:
    """Return the figures of `logits`, `[N, classes]`, against those of the trained model and the labels, `[N]`."""
    differences = absolute_differences(trained, logits)
    answers = logits.argmax(axis=1)
    return Comparison(
        batch=batch,
        max_abs_diff=float(differences.max()),
        mean_abs_diff=float(differences.mean()),
        agreement=float(np.mean(answers == trained.argmax(axis=1))),
        accuracy=float(np.mean(answers == labels)),
        images=len(logits),
    )
