"""Cuts between digits that touch: straight lines from the top of their ink to its bottom, as slanted as the writing."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mnist_edge.preprocessing.mnist_v3.size_normalization import stroke_width
from mnist_edge.types import GrayImage

CUTS_PER_HEIGHT = 16
"""Cuts that are tried in ink as wide as it is high: one in each of so many equal columns."""

MAX_CUTS = 160
"""Cuts in one piece of ink, at most, enough for 15 digits that touch: a long wave would be cut for many seconds."""

SLANTS = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)
"""Columns by which a cut goes to the right for each row upwards; the one that cuts the least ink is taken."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A straight line from the top of a picture to its bottom.

    Attributes:
        columns: where it is in each row, int64 `[height]`, from -1 to the last column; the pixels up to it are on its
            left, it included.
        middle: where it is at half the height, from 0 to the column before the last.
        strokes: how much ink it goes through, in stroke widths.
    """

    columns: NDArray[np.int64]
    middle: int
    strokes: float


def find_cuts(ink: GrayImage) -> list[Cut]:
    """Return where ink, float32 `[height, width]` in [0, 1], may be cut, from left to right.

    Two digits may touch anywhere, and where they overlap the least ink is not between them. So there is a cut in every
    part of the width, in each the cheapest one, and what the model says of the pieces decides.
    """
    height, width = ink.shape
    middles = np.arange(width)
    by_slant = np.stack([_crossed_ink(ink, _line_columns(ink, middles, slant)) for slant in SLANTS])
    slants, costs = by_slant.argmin(axis=0), by_slant.min(axis=0)
    parts = min(MAX_CUTS, max(1, round(CUTS_PER_HEIGHT * width / height)))
    limits = np.linspace(0, width - 1, parts + 1).astype(int)
    stroke = max(1.0, stroke_width(ink))
    cheapest = [start + int(costs[start:stop].argmin()) for start, stop in pairwise(limits) if start < stop]
    return [
        Cut(_line_columns(ink, np.array([middle]), SLANTS[slants[middle]])[:, 0], middle, float(costs[middle]) / stroke)
        for middle in cheapest
    ]


def between(ink: GrayImage, left: Cut | None, right: Cut | None) -> GrayImage:
    """Return the ink between two cuts, in a picture of the same shape; None stands for the picture's side."""
    columns = np.arange(ink.shape[1])
    inside = np.ones(ink.shape, dtype=np.bool_)
    if left is not None:
        inside &= columns > left.columns[:, np.newaxis]
    if right is not None:
        inside &= columns <= right.columns[:, np.newaxis]
    return np.where(inside, ink, np.float32(0))


def _line_columns(ink: GrayImage, middles: NDArray[np.int64], slant: float) -> NDArray[np.int64]:
    """Return for each row of the ink the columns of lines of a slant, `[height, N]`, by theirs in the middle, `[N]`."""
    height, width = ink.shape
    up = (height - 1) / 2 - np.arange(height)
    columns: NDArray[np.int64] = np.rint(middles + slant * up[:, np.newaxis]).clip(-1, width - 1).astype(np.int64)
    return columns


def _crossed_ink(ink: GrayImage, columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the ink that continues on the other side of each of the lines at `columns`, `[height, width]`."""
    padded = np.pad(ink, ((0, 0), (1, 1)))
    before = np.take_along_axis(padded, columns + 1, axis=1)
    behind = np.take_along_axis(padded, columns + 2, axis=1)
    crossed: NDArray[np.float64] = np.minimum(before, behind).sum(axis=0, dtype=np.float64)
    return crossed
