"""What an artifact that people look at says of its own answers."""

import json
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from mnist_edge.artifact.fields import expect_fields, one_line, parse_object, take_integer, take_number
from mnist_edge.errors import ArtifactError
from mnist_edge.types import Labels, Logits

FIGURES_KEY = "mnist_edge.figures"
"""Under this name an artifact carries its figures."""

MAX_IMAGES = 1_000_000_000
"""Most images that figures are of."""


@dataclass(frozen=True)
class Figures:
    """An artifact's answers to the test images.

    Attributes:
        images: how many there are.
        accuracy: share of images answered correctly, in [0, 1].
        trained_accuracy: the trained model's, in [0, 1].
        agreement: share of images with the trained model's top-1 answer, in [0, 1].
        max_abs_diff: largest |Δlogit| from the trained model.
    """

    images: int
    accuracy: float
    trained_accuracy: float
    agreement: float
    max_abs_diff: float

    @classmethod
    def of(cls, logits: Logits, trained: Logits, labels: Labels) -> Self:
        """Return the figures of logits, float32 `[N, classes]`, beside those of the trained model.

        Args:
            logits: the artifact's.
            trained: the trained model's, of the same shape.
            labels: what is right, int64 `[N]`.
        """
        answers, trained_answers = logits.argmax(axis=1), trained.argmax(axis=1)
        return cls(
            images=len(labels),
            accuracy=float(np.mean(answers == labels)),
            trained_accuracy=float(np.mean(trained_answers == labels)),
            agreement=float(np.mean(answers == trained_answers)),
            max_abs_diff=float(np.abs(logits.astype(np.float64) - trained).max()),
        )

    def to_json(self) -> str:
        """Return the figures as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: there are none (`text` is None), or they are not understood here.
        """
        if text is None:
            raise ArtifactError("it carries no figures")
        try:
            fields = parse_object(text)
            expect_fields(cls.__dataclass_fields__, fields)
            shares = {name: take_number(fields, name, 0, 1) for name in ("accuracy", "trained_accuracy", "agreement")}
            images = take_integer(fields, "images", 1, MAX_IMAGES)
            return cls(images=images, max_abs_diff=take_number(fields, "max_abs_diff", 0, np.inf), **shares)
        except ValueError as error:
            raise ArtifactError(f"its figures are not understood here ({one_line(error)})") from error
