"""The digits of a number: components of ink, grouped into what is one digit or several that touch, in reading order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import NoDigitError
from mnist_edge.preprocessing.mnist_v3.connected_components import Components, label_components
from mnist_edge.preprocessing.mnist_v3.quantiles import median
from mnist_edge.preprocessing.mnist_v3.segmentation import (
    MIN_FRAGMENT_AREA_SHARE,
    along_border,
    binary_dilate,
    enclosing_frame,
)
from mnist_edge.types import BoolMask, Box, GrayImage

MAX_GROUPS = 200
"""A page of digits that is read at once holds at most this many."""

MIN_DIGIT_AREA_SHARE = 0.15
"""A component with at least this share of the largest one's area counts when the height of the digits is measured."""

MIN_DIGIT_HEIGHT_SHARE = 0.4
"""A component with at least this share of that height is a digit, or the greater part of one."""

MIN_BODY_AREA_SHARE = 0.1
"""It also has at least this share of the digits' median area; what is smaller is a fragment or a mark."""

LOW_DIGIT_HEIGHT_SHARE, LOW_DIGIT_AREA_SHARE = 0.3, 0.25
"""So is one that is lower, and has more of the digits' ink than a comma: a five whose bar is level with its body."""

MAX_FRAGMENT_GAP_SHARE = 0.35
"""A fragment is joined to the nearest digit within this share of the digits' height."""

MAX_STACKED_HEIGHT_SHARE = 1.3
"""Parts above each other are one digit up to this share of the digits' height; beyond, they stand in two lines."""

MAX_PART_HEIGHT_SHARE = 0.75
"""What is lower than this share of the digits' height may be a part of a broken digit,"""

MAX_PART_GAP_SHARE = 0.12
"""with what is beside it within this share of their height. Whether they are one digit, the model says."""

MIN_SHARED_SHARE = 0.5
"""Parts of a digit share this much of the narrower one's columns; digits of a line, this much of their rows."""


Boxes = NDArray[np.int64]
"""Left, top, right and bottom of boxes, int64 `[N, 4]`."""


@dataclass(frozen=True, eq=False)
class Group:
    """Ink that is one digit, or several that touch.

    Attributes:
        box: around its strokes, in the picture of the ink.
        ink: of it alone, float32 in [0, 1], the strokes and the faded edge around them.
        left, top: where the ink begins in the picture.
    """

    box: Box
    ink: GrayImage
    left: int
    top: int


def group_digits(ink: GrayImage, mask: BoolMask) -> list[list[Group]]:
    """Return the groups of each line, from left to right, and the lines from top to bottom.

    Args:
        ink: of the whole picture.
        mask: the pixels that are strokes, of the same shape, without ruled lines; there are some.

    Raises:
        NoDigitError: there are more than `MAX_GROUPS`, as in a texture.
    """
    components = label_components(mask)
    eligible = ~(along_border(components) | enclosing_frame(components))
    if not eligible.any():
        eligible[:] = True
    height, area = _digit_size(components, eligible)
    high = (components.height >= MIN_DIGIT_HEIGHT_SHARE * height) & (components.area >= MIN_BODY_AREA_SHARE * area)
    low = (components.height >= LOW_DIGIT_HEIGHT_SHARE * height) & (components.area >= LOW_DIGIT_AREA_SHARE * area)
    body = high | low
    found = np.flatnonzero(eligible & body)
    if len(found) > MAX_GROUPS:
        raise NoDigitError(f"{len(found):,} pieces of ink, expected at most {MAX_GROUPS} digits")
    members = _joined([[int(label)] for label in found], components, height)
    fragments = np.flatnonzero(eligible & ~body & (components.area >= MIN_FRAGMENT_AREA_SHARE * area))
    _join_fragments(fragments.tolist(), members, components, MAX_FRAGMENT_GAP_SHARE * height)
    lines = _lines([(_box(labels, components), labels) for labels in members])
    return [[_as_group(box, labels, components, ink) for box, labels in line] for line in lines]


def _digit_size(components: Components, eligible: BoolMask) -> tuple[float, float]:
    """Return the usual height and area of the components that may be digits, in pixels.

    The height is a median in which each component counts by its height, so that digits weigh more than their parts.
    """
    chosen = eligible & (components.area >= MIN_DIGIT_AREA_SHARE * (components.area * eligible).max())
    heights = np.sort(components.height[chosen])
    height = float(heights[np.searchsorted(heights.cumsum(), heights.sum() / 2)])
    chosen &= components.height >= MIN_DIGIT_HEIGHT_SHARE * height
    return height, float(median(components.area[chosen]))


def _joined(members: list[list[int]], components: Components, height: float) -> list[list[int]]:
    """Join parts of a digit that lie above each other, as the bar of a five over its body, or are close by."""
    while True:
        boxes = np.array([_box(labels, components) for labels in members])
        first, second = np.nonzero(np.triu(_stacked(boxes, height) | _broken(boxes, height), 1))
        if not len(first):
            return members
        joined = members[first[0]] + members[second[0]]
        members = [labels for number, labels in enumerate(members) if number not in (first[0], second[0])]
        members.append(joined)


def _stacked(boxes: Boxes, height: float) -> BoolMask:
    """Return which pairs of boxes, `[N, N]`, are parts of one digit."""
    left, top, right, bottom = boxes.T
    shared_columns = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    shared_rows = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    narrower = np.minimum.outer(right - left, right - left)
    lower = np.minimum.outer(bottom - top, bottom - top)
    together = np.maximum.outer(bottom, bottom) - np.minimum.outer(top, top)
    stacked: BoolMask = (
        (shared_columns > MIN_SHARED_SHARE * narrower)
        & (shared_rows < MIN_SHARED_SHARE * lower)
        & (-shared_rows < MAX_FRAGMENT_GAP_SHARE * height)
        & (together <= MAX_STACKED_HEIGHT_SHARE * height)
    )
    return stacked


def _broken(boxes: Boxes, height: float) -> BoolMask:
    """Return which pairs of boxes, `[N, N]`, are close beside each other, and may be parts of one digit."""
    left, top, right, bottom = boxes.T
    low = bottom - top < MAX_PART_HEIGHT_SHARE * height
    gap = np.maximum.outer(left, left) - np.minimum.outer(right, right)
    shared_rows = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    together = np.maximum.outer(bottom, bottom) - np.minimum.outer(top, top)
    broken: BoolMask = (
        np.logical_or.outer(low, low)
        & (gap < MAX_PART_GAP_SHARE * height)
        & (-shared_rows < MAX_PART_GAP_SHARE * height)
        & (together <= MAX_STACKED_HEIGHT_SHARE * height)
    )
    return broken


def _join_fragments(fragments: list[int], members: list[list[int]], components: Components, reach: float) -> None:
    """Add each fragment to the digit that it is nearest to; one that is near to none is a mark, and is left out."""
    left, top, right, bottom = np.array([_box(labels, components) for labels in members]).T
    for label in fragments:
        across = np.maximum(components.left[label] - right, left - components.right[label]).clip(0)
        down = np.maximum(components.top[label] - bottom, top - components.bottom[label]).clip(0)
        distances = np.hypot(across, down)
        nearest = int(distances.argmin())
        if distances[nearest] <= reach:
            members[nearest].append(label)


def _lines(groups: list[tuple[Box, list[int]]]) -> list[list[tuple[Box, list[int]]]]:
    """Sort groups into lines by the rows that they share with what a line holds already."""
    lines: list[list[tuple[Box, list[int]]]] = []
    for group in sorted(groups, key=lambda group: group[0][1] + group[0][3]):
        for line in lines:
            top, bottom = _rows([box for box, _ in line])
            shared = min(group[0][3], bottom) - max(group[0][1], top)
            if shared > MIN_SHARED_SHARE * min(group[0][3] - group[0][1], bottom - top):
                line.append(group)
                break
        else:
            lines.append([group])
    return [sorted(line, key=lambda group: group[0][0] + group[0][2]) for line in lines]


def _rows(boxes: Sequence[Box]) -> tuple[float, float]:
    """Return the median top and bottom of some boxes, which a single long stroke does not move."""
    return float(median(np.array([box[1] for box in boxes]))), float(median(np.array([box[3] for box in boxes])))


def _box(labels: Sequence[int], components: Components) -> Box:
    return (
        int(components.left[labels].min()),
        int(components.top[labels].min()),
        int(components.right[labels].max()),
        int(components.bottom[labels].max()),
    )


def _as_group(box: Box, labels: Sequence[int], components: Components, ink: GrayImage) -> Group:
    """Return some components with the pixel around them where the edge of a stroke fades out."""
    chosen = np.zeros(len(components), dtype=np.bool_)
    chosen[labels] = True
    left, top = max(0, box[0] - 1), max(0, box[1] - 1)
    area = slice(top, box[3] + 1), slice(left, box[2] + 1)
    alone = np.where(binary_dilate(components.mask_of(chosen)[area]), ink[area], np.float32(0))
    return Group(box, alone, left, top)
