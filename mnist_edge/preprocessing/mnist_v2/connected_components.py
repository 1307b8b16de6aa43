"""Connected parts of an ink mask, and which of them are the digit.

A mask is handled as its runs (stretches of ink along a row), of which there are few: parts are found by joining runs
of neighbouring rows that touch, all at once with numpy, instead of pixel by pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The connected parts of a mask; pixels that share a corner are connected.

    Attributes:
        shape: of the mask, (height, width).
        start: of each run, its first pixel's index in the mask padded by a column on either side and flattened.
        stop: the index after its last pixel.
        part: to which part it belongs, `[runs]` in 0..count-1.
        area: pixels of each part, `[count]`.
        top, bottom, left, right: bounding box of each part; bottom and right not included.
        contact: pixels of each part on the mask's edge, `[count]`; a corner counts for both of its sides.
    """

    shape: tuple[int, int]
    start: Ints
    stop: Ints
    part: Ints
    area: Ints
    top: Ints
    bottom: Ints
    left: Ints
    right: Ints
    contact: Ints

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.area)

    @property
    def height(self) -> Ints:
        """Heights of the bounding boxes in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> Ints:
        """Widths of the bounding boxes in pixels."""
        return self.right - self.left

    @property
    def longer(self) -> Ints:
        """Longer sides of the bounding boxes in pixels."""
        return np.maximum(self.height, self.width)

    def paint(self, chosen: Mask) -> Mask:
        """Return the mask of the parts for which `chosen`, `[count]`, is true."""
        runs = chosen[self.part]
        return _painted(self.shape, self.start[runs], self.stop[runs])


def find_parts(mask: Mask) -> Parts:
    """Return the connected parts of a mask `[height, width]`."""
    height, width = mask.shape
    stride = width + 2
    start, stop = _runs(mask)
    part = _joined(start, stop, stride)
    count = int(part.max()) + 1 if len(part) else 0
    length = stop - start
    row, left = start // stride, start % stride - 1
    right = left + length
    contact = ((row == 0) * length + (row == height - 1) * length) + (left == 0) + (right == width)

    def least(values: Ints, initial: int) -> Ints:
        found = np.full(count, initial)
        np.minimum.at(found, part, values)
        return found

    return Parts(
        shape=(height, width),
        start=start,
        stop=stop,
        part=part,
        area=np.bincount(part, length, count).astype(np.int64),
        top=least(row, height),
        bottom=-least(-row, 0) + 1,
        left=least(left, width),
        right=-least(-right, 0),
        contact=np.bincount(part, contact, count).astype(np.int64),
    )


def long_runs(mask: Mask, length: int) -> Mask:
    """Return the mask of those runs that are at least `length` pixels long."""
    start, stop = _runs(mask)
    long = stop - start >= length
    return _painted(mask.shape, start[long], stop[long])


def _runs(mask: Mask) -> tuple[Ints, Ints]:
    """Return start and stop of each run, as `Parts` keeps them."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel())
    return np.flatnonzero(steps == 1) + 1, np.flatnonzero(steps == -1) + 1


def _painted(shape: tuple[int, int], start: Ints, stop: Ints) -> Mask:
    height, width = shape
    edges = np.zeros(height * (width + 2), dtype=np.int8)
    edges[start] = 1
    edges[stop] = -1
    return edges.cumsum(dtype=np.int8).reshape(height, width + 2)[:, 1:-1].astype(bool)


def _joined(start: Ints, stop: Ints, stride: int) -> Ints:
    """Return the number of each run's part: runs whose pixels touch those of the next row, corners too, share one."""
    first = np.searchsorted(stop, start + stride, "left")
    touching = np.searchsorted(start, stop + stride, "right") - first
    above = np.repeat(np.arange(len(start)), touching)
    below = np.arange(len(above)) - np.repeat(touching.cumsum() - touching, touching) + np.repeat(first, touching)
    root = np.arange(len(start))
    while True:  # each turn hooks the greater root of a pair to the lesser, then shortens the paths
        one, other = root[above], root[below]
        if np.array_equal(one, other):
            break
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(shorter := root[root], root):
            root = shorter
    return np.unique(root, return_inverse=True)[1].astype(np.int64)
