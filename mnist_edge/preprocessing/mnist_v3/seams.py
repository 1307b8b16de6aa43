"""Cuts between digits that touch: paths from the top of their ink to its bottom through as little ink as possible."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.preprocessing.mnist_v3.size_normalization import stroke_width
from mnist_edge.types import GrayImage

SIDESTEP_COST = 0.35
"""What a step to a neighboring column costs, where a pixel full of ink costs 1: a detour must save ink."""

MIN_DISTANCE_SHARE = 0.08
"""Cuts are at least this share of the ink's height apart, and away from its sides."""

CUTS_PER_SQUARE = 6
"""Cuts that are tried, at most, in ink as wide as it is high; digits have two or three thin places themselves."""

MAX_STROKES_CUT = 6.0
"""A cut goes through less ink than this many stroke widths: more is not a place where two digits touch."""


@dataclass(frozen=True, eq=False)
class Seam:
    """A path from the top of a picture to its bottom.

    Attributes:
        columns: where it is in each row, `[height]`; the pixels up to it, it included, are on its left.
        strokes: how much ink it goes through, in stroke widths.
    """

    columns: NDArray[np.int64]
    strokes: float


def find_seams(ink: GrayImage) -> list[Seam]:
    """Return the best places to cut ink, float32 `[height, width]` in [0, 1], from left to right.

    The cheapest path through each pixel of the middle row is found by dynamic programming, from the top and from the
    bottom, as in seam carving (Avidan and Shamir 2007). The cuts are the local minima of its cost.
    """
    height, width = ink.shape
    costs, upper, lower = _cheapest_paths(ink)
    apart = max(2, int(MIN_DISTANCE_SHARE * height))
    minima: list[int] = []
    for column in range(apart, width - apart):
        around = costs[max(0, column - apart) : column + apart + 1]
        if costs[column] <= around.min() and (not minima or column - minima[-1] >= apart):
            minima.append(column)
    count = max(2, round(CUTS_PER_SQUARE * width / height))
    stroke = max(1.0, stroke_width(ink))
    best = sorted(sorted(minima, key=lambda column: float(costs[column]))[:count])
    return [
        Seam(_path(column, upper, lower), float(costs[column]) / stroke)
        for column in best
        if costs[column] < MAX_STROKES_CUT * stroke
    ]


def between(ink: GrayImage, left: Seam | None, right: Seam | None) -> GrayImage:
    """Return the ink between two seams, in a picture of the same shape; None stands for the picture's side."""
    columns = np.arange(ink.shape[1])
    inside = np.ones(ink.shape, dtype=np.bool_)
    if left is not None:
        inside &= columns > left.columns[:, np.newaxis]
    if right is not None:
        inside &= columns <= right.columns[:, np.newaxis]
    return np.where(inside, ink, np.float32(0))


Steps = list[NDArray[np.int64]]
"""For each row on the way, from which column (-1, 0 or 1 beside it) the cheapest path to each of its pixels comes."""


def _cheapest_paths(ink: GrayImage) -> tuple[NDArray[np.float64], Steps, Steps]:
    """Return the cost of the cheapest path through each pixel of the middle row, and its steps above and below it."""
    height, width = ink.shape
    middle = height // 2
    above, upper = _sweep(ink[: middle + 1], np.zeros(width))
    below, lower = _sweep(ink[:middle:-1], np.zeros(width))
    joined, steps = _stepped(below)
    return above + joined, upper, [*lower, steps]


def _sweep(rows: GrayImage, cost: NDArray[np.float64]) -> tuple[NDArray[np.float64], Steps]:
    taken: Steps = []
    for row in rows:
        cost, steps = _stepped(cost)
        cost = cost + row
        taken.append(steps)
    return cost, taken


def _stepped(cost: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the least cost to come to each column of the next row, and the step from where it comes."""
    from_left = np.concatenate([[np.inf], cost[:-1]]) + SIDESTEP_COST
    from_right = np.concatenate([cost[1:], [np.inf]]) + SIDESTEP_COST
    options = np.stack([cost, from_left, from_right])
    chosen = options.argmin(axis=0)
    return options[chosen, np.arange(len(cost))], np.array([0, -1, 1])[chosen]


def _path(column: int, upper: Steps, lower: Steps) -> NDArray[np.int64]:
    """Follow the steps from the middle row upwards and downwards."""
    top, at = [], column
    for steps in reversed(upper):
        top.append(at)
        at += int(steps[at])
    bottom, at = [], column
    for steps in reversed(lower):
        at += int(steps[at])
        bottom.append(at)
    return np.array([*reversed(top), *bottom[: len(lower) - 1]], dtype=np.int64)
