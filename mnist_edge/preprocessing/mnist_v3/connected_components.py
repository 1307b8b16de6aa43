"""Connected components of a mask.

A mask is handled as its runs (stretches of ink along a row), of which there are few: components are found by joining
runs of neighboring rows that touch, all at once with numpy, instead of pixel by pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.types import BoolMask

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """The connected components of a mask; pixels that share a corner are connected.

    Attributes:
        shape: of the mask, (height, width).
        start: of each run, its first pixel's index in the mask padded by a column on either side and flattened.
        stop: the index after its last pixel.
        label: the component that each run belongs to, `[runs]` in 0..count-1.
        area: pixels of each component, `[count]`.
        top, bottom, left, right: bounding box of each component, `[count]`; bottom and right not included.
        border_pixels: pixels of each component on the mask's edge, `[count]`; a corner counts for both of its sides.
    """

    shape: tuple[int, int]
    start: Integers
    stop: Integers
    label: Integers
    area: Integers
    top: Integers
    bottom: Integers
    left: Integers
    right: Integers
    border_pixels: Integers

    def __len__(self) -> int:
        """Return the number of components."""
        return len(self.area)

    @property
    def height(self) -> Integers:
        """Heights of the bounding boxes in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> Integers:
        """Widths of the bounding boxes in pixels."""
        return self.right - self.left

    @property
    def max_side(self) -> Integers:
        """Longer sides of the bounding boxes in pixels."""
        return np.maximum(self.height, self.width)

    def mask_of(self, chosen: BoolMask) -> BoolMask:
        """Return the mask `[height, width]` of the components for which `chosen`, `[count]`, is true."""
        runs = chosen[self.label]
        return _mask_of_runs(self.shape, self.start[runs], self.stop[runs])


def label_components(mask: BoolMask) -> Components:
    """Return the connected components of a mask `[height, width]`."""
    height, width = mask.shape
    stride = width + 2
    start, stop = _runs(mask)
    label = _label_runs(start, stop, stride)
    count = int(label.max()) + 1 if len(label) else 0
    length = stop - start
    row, left = start // stride, start % stride - 1
    right = left + length
    border = ((row == 0) * length + (row == height - 1) * length) + (left == 0) + (right == width)

    def least(values: Integers, initial: int) -> Integers:
        found = np.full(count, initial)
        np.minimum.at(found, label, values)
        return found

    return Components(
        shape=(height, width),
        start=start,
        stop=stop,
        label=label,
        area=np.bincount(label, length, count).astype(np.int64),
        top=least(row, height),
        bottom=-least(-row, 0) + 1,
        left=least(left, width),
        right=-least(-right, 0),
        border_pixels=np.bincount(label, border, count).astype(np.int64),
    )


def long_runs(mask: BoolMask, length: int) -> BoolMask:
    """Return the mask of those runs that are at least `length` pixels long."""
    start, stop = _runs(mask)
    long = stop - start >= length
    return _mask_of_runs(mask.shape, start[long], stop[long])


def _runs(mask: BoolMask) -> tuple[Integers, Integers]:
    """Return start and stop of each run, as `Components` keeps them."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    changes = np.diff(padded.ravel())
    return np.flatnonzero(changes == 1) + 1, np.flatnonzero(changes == -1) + 1


def _mask_of_runs(shape: tuple[int, int], start: Integers, stop: Integers) -> BoolMask:
    height, width = shape
    edges = np.zeros(height * (width + 2), dtype=np.int8)
    edges[start] = 1
    edges[stop] = -1
    return edges.cumsum(dtype=np.int8).reshape(height, width + 2)[:, 1:-1].astype(bool)


def _label_runs(start: Integers, stop: Integers, stride: int) -> Integers:
    """Return the component of each run: runs whose pixels touch those of the next row, corners too, share one."""
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
