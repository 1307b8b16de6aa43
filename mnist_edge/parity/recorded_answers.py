"""Which test images an artifact answers wrongly, as a report keeps it for the next one to be compared with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_edge.artifact.fields import expect_fields, expect_version, take_integer, take_sha256, take_text
from mnist_edge.types import BoolMask, Labels, Logits

VERSION = 1
"""Version of the layout of recorded answers."""

MAX_IMAGES = 1_000_000
"""Most test images of recorded answers."""

_INDICES = re.compile(r"(?:\d{1,7}(?: \d{1,7})*)?", re.ASCII)


@dataclass(frozen=True)
class RecordedAnswers:
    """Which test images an artifact answers wrongly.

    Attributes:
        test_set: SHA-256 of the test images and their labels.
        images: how many there are.
        misread: indices of those that are answered wrongly, ascending.
    """

    test_set: str
    images: int
    misread: tuple[int, ...]

    @property
    def right(self) -> BoolMask:
        """Which images are answered correctly, `[images]`."""
        result = np.ones(self.images, np.bool_)
        result[list(self.misread)] = False
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the answers as JSON types; the indices are one text, so that an indented file stays short."""
        misread = " ".join(map(str, self.misread))
        return {"version": VERSION, "test_set": self.test_set, "images": self.images, "misread": misread}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "RecordedAnswers":
        """Read what `to_json` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_version(fields, VERSION)
        expect_fields(("version", "test_set", "images", "misread"), fields)
        images = take_integer(fields, "images", 1, MAX_IMAGES)
        text = take_text(fields, "misread", longest=8 * MAX_IMAGES)
        if not _INDICES.fullmatch(text):
            raise ValueError("misread is not a text of whole numbers with a blank between them")
        misread = tuple(map(int, text.split()))
        if misread != tuple(sorted(set(misread))) or (misread and misread[-1] >= images):
            raise ValueError(f"misread is not ascending numbers below {images:,}")
        return cls(take_sha256(fields, "test_set"), images, misread)


def record_answers(logits: Logits, labels: Labels, test_set: str) -> RecordedAnswers:
    """Return which of the images, whose digest is `test_set`, these logits, `[N, classes]`, answer wrongly."""
    misread = np.flatnonzero(logits.argmax(axis=1) != labels)
    return RecordedAnswers(test_set, len(labels), tuple(misread.tolist()))
