"""The answer to a picture of numbers: digits in reading order, their text, and a confidence for the whole."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from mnist_edge.preprocessing.result import DigitGroup
from mnist_edge.runtime.prediction import Scored, Status
from mnist_edge.runtime.touching import split_group
from mnist_edge.types import Box, Images

MIN_CUT_ASPECT, MAX_DIGIT_ASPECT = 0.6, 1.1
"""Ink narrower than the one is one digit; wider than the other, it is cut if it can be.

Both are shares of the height of its line. What is between is cut where the model does not know it as a digit.
"""

MIN_GAP_HEIGHT_SHARE = 0.6
"""A gap between digits is a space if it is wider than this share of their height,"""

MIN_GAP_FACTOR = 2.0
"""and this many times as wide as half of the gaps of its line are."""


@dataclass(frozen=True)
class Digit:
    """One digit of a number.

    Attributes:
        label: the most probable label of the model's task.
        confidence: its probability, in [0, 1].
        box: around it: left, upper, right and lower edge in pixels of the picture, set upright as its EXIF data say.
        line: number of its line, from 0 at the top.
        status: `uncertain` where it touches others, or may not be a digit; else `ok`.
    """

    label: str
    confidence: float
    box: Box
    line: int
    status: Status


@dataclass(frozen=True)
class Number:
    """The answer to a picture of numbers.

    Attributes:
        path: the picture's file, or None where it came as bytes, picture or array.
        status: whether there is an answer, and whether each digit of it can be relied on.
        text: the labels in reading order, with a space for each wide gap and a newline between lines; None without an
            answer.
        confidence: the product of the digits' confidences, in [0, 1], or None without an answer.
        digits: in reading order.
        model: file name of the model.
        message: what was wrong; empty where nothing was.
    """

    path: str | None
    status: Status
    text: str | None
    confidence: float | None
    digits: tuple[Digit, ...]
    model: str
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON types, without the message, which is for people."""
        return {
            "path": self.path,
            "status": self.status.value,
            "text": self.text,
            "confidence": self.confidence,
            "digits": [
                {
                    "label": digit.label,
                    "confidence": digit.confidence,
                    "status": digit.status.value,
                    "line": digit.line,
                    "box": list(digit.box),
                }
                for digit in self.digits
            ],
            "model": self.model,
        }


def read_lines(
    lines: Iterable[Iterable[DigitGroup]],
    scored: Callable[[Images], Scored],
    labels: tuple[str, ...],
    path: str | None,
    model: str,
    min_confidence: float | None = None,
) -> Number:
    """Return the number that lines of ink are.

    Args:
        lines: groups of ink that are one digit each, or several that touch.
        scored: asks the model for an image, float32 `[1, channels, height, width]`.
        labels: of the model's task.
        path: of the picture.
        model: file name of the model.
        min_confidence: a digit with less, where it stays in doubt, is `uncertain`; None for each that is in doubt.
    """
    digits = tuple(
        digit
        for line, groups in enumerate(lines)
        for group, height_share in _with_height_shares(list(groups))
        for digit in _read_group(group, height_share, line, scored, labels, min_confidence)
    )
    status = Status.OK if all(digit.status is Status.OK for digit in digits) else Status.UNCERTAIN
    confidence = prod(digit.confidence for digit in digits)
    return Number(path, status, text_of(digits), confidence, digits, model)


def _with_height_shares(groups: Sequence[DigitGroup]) -> list[tuple[DigitGroup, float]]:
    """Return the groups of a line, each with its height as a share of the usual one there, at most 1.

    A low group is as wide as others, and much wider for its height: it is more often a low digit than two that touch.
    """
    heights = [group.box[3] - group.box[1] for group in groups]
    usual = sorted(heights)[len(heights) // 2]
    return [(group, min(1.0, height / usual)) for group, height in zip(groups, heights, strict=True)]


def _read_group(
    group: DigitGroup,
    height_share: float,
    line: int,
    scored: Callable[[Images], Scored],
    labels: tuple[str, ...],
    min_confidence: float | None,
) -> list[Digit]:
    """Return the digit that a group is; too wide for one, or not known, it is cut where that helps, and uncertain."""
    left, top, right, bottom = group.box
    aspect = (right - left) / (bottom - top) * height_share
    best, probabilities, _, known = scored(group.tensor)
    if aspect >= MAX_DIGIT_ASPECT or (aspect >= MIN_CUT_ASPECT and not known):
        parts = split_group(group.pieces(), lambda piece: scored(piece.tensor), height_share)
        if len(parts) > 1:
            return [
                Digit(labels[best], probabilities[best], piece.box, line, Status.UNCERTAIN)
                for piece, (best, probabilities, _, _) in parts
            ]
        known = False
    if not known:
        best, probabilities = _read_at_five_positions(group.tensor, scored)
        if min_confidence is not None and aspect < MAX_DIGIT_ASPECT:
            known = probabilities[best] >= min_confidence  # what is asked of the confidence that is reported
    return [Digit(labels[best], probabilities[best], group.box, line, Status.OK if known else Status.UNCERTAIN)]


def _read_at_five_positions(image: Images, scored: Callable[[Images], Scored]) -> tuple[int, tuple[float, ...]]:
    """Return the best label and the mean probabilities of a digit where it is, and a pixel further on each side.

    Averaging over moved copies is test-time augmentation (Krizhevsky et al. 2012). Of wide lines that the CNN reads
    wrongly it mends three of ten; of the pieces of a group that is cut it would read fewer.
    """
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = image.shape[2:]
    moved = [
        scored(np.ascontiguousarray(padded[:, :, top : top + height, left : left + width]))[1]
        for top, left in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    ]
    means = tuple(sum(of_label) / len(moved) for of_label in zip(*moved, strict=True))
    return means.index(max(means)), means


def text_of(digits: Iterable[Digit]) -> str:
    """Return the labels of digits that are in reading order, with a space for each wide gap and a newline for lines."""
    lines: dict[int, list[Digit]] = {}
    for digit in digits:
        lines.setdefault(digit.line, []).append(digit)
    return "\n".join(_line_text(line) for line in lines.values())


def _line_text(digits: list[Digit]) -> str:
    gaps = [after.box[0] - before.box[2] for before, after in pairwise(digits)]
    height = sorted(digit.box[3] - digit.box[1] for digit in digits)[len(digits) // 2]
    usual = sorted(gaps)[len(gaps) // 2] if len(gaps) > 1 else 0
    least = max(MIN_GAP_HEIGHT_SHARE * height, MIN_GAP_FACTOR * usual)
    spaces = [" " if gap > least else "" for gap in gaps]
    return "".join(space + digit.label for space, digit in zip(["", *spaces], digits, strict=True))
