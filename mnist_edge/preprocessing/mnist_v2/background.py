"""Brightness → ink: what stands out from the paper, the board or the screen around it, whatever light falls on that.

The ground is estimated where it is, not once for the picture: a grey closing (or, for light ink, an opening) with a
window wider than any stroke fills the strokes with the brightness beside them (Serra 1982; the top-hat transform).
It follows a gradient and the edge of a shadow exactly, so neither becomes ink.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2.grayscale import Grey
from mnist_edge.preprocessing.mnist_v2.quantiles import median, quantiles

GRID = 256
"""The ground is estimated on a picture whose longer side is at most this many pixels."""

VOTING_GRID = 96
"""The same for the vote on light or dark ink."""

WINDOW = 1 / 3
"""Side of the window as a share of the picture's longer side: no stroke of a digit is as wide."""

MIN_CONTRAST = 0.02
"""Ink differs from its ground by at least this much brightness, in [0, 1]."""

FLAT = 0.1
"""The side of a frame varies by less than this brightness, in [0, 1]."""

NOISE = 5.0
"""What lies within so many standard deviations of the paper's grain is no ink, counted from the lower quartile."""


class NoDigitError(ValueError):
    """A picture holds no ink."""


def ink_is_light(grey: Grey) -> bool:
    """Say whether the ink is lighter than the ground.

    Ink is what is rarer, near by: what stands out from the mean of its neighbourhood stands out further on the ink's
    side, which the sign of the skewness tells. It is taken in windows of a quarter and of half the longer side, where
    a shadow's edge weighs as much on both sides, and again with the ground that the border shows continued outside, for
    a digit that fills its picture. A frame is ink by the same measure, so it does not flip the answer.
    """
    coarse = _reduced(grey, VOTING_GRID)
    side = max(coarse.shape)
    edge = _border(coarse)
    outside = float(median(edge))
    quarter, half = max(1, side // 8), max(1, side // 4)
    wide = np.pad(coarse, half, constant_values=outside)
    votes = (
        _skewness(coarse, quarter, None),
        _skewness(coarse, half, None),
        _skewness(wide, half, outside),
        0.5 - float((edge > (float(coarse.min()) + float(coarse.max())) / 2).mean()),
    )
    return sum(votes) > 0


def frame_inside(grey: Grey) -> tuple[slice, slice]:
    """Return the rows and columns inside a frame: a border of one brightness around what is mostly of another."""
    height, width = grey.shape
    limit = min(height, width) // 4
    bands = []
    for side in (grey, grey[::-1], grey.T, grey.T[::-1]):
        bands.append(_band(side, limit))
        if not bands[-1]:
            return slice(0, height), slice(0, width)
    top, bottom, left, right = bands
    return slice(top, height - bottom), slice(left, width - right)


def levelled(grey: Grey) -> Grey:
    """Take away a slope of the light: the plane by which the medians of opposite sides of the picture differ.

    The brightness stays as it is in the middle. Where the plane explains little, as at the edge of a shadow, there is
    no slope. What is left of uneven light is for `local_ground`, which is exact on a slope, but not at the picture's
    edge.
    """
    height, width = grey.shape
    deep, wide = max(1, height // 16), max(1, width // 16)
    down = float(median(grey[-deep:].ravel()) - median(grey[:deep].ravel()))
    right = float(median(grey[:, -wide:].ravel()) - median(grey[:, :wide].ravel()))
    if max(abs(down), abs(right)) < MIN_CONTRAST:
        return grey
    rows, columns = np.linspace(-0.5, 0.5, height, dtype=np.float32), np.linspace(-0.5, 0.5, width, dtype=np.float32)
    even: Grey = grey - np.float32(down) * rows[:, np.newaxis] - np.float32(right) * columns
    before, after = (float(np.abs(values - median(values.ravel())).mean()) for values in (grey, even))
    return even if after < 0.4 * before else grey


def local_ground(grey: Grey) -> Grey:
    """Return the brightness of the ground at each pixel, for dark ink."""
    height, width = grey.shape
    coarse = _reduced(grey, GRID)
    reach = max(1, round(max(coarse.shape) * WINDOW / 2))
    closed = _spread(_spread(coarse, reach, np.maximum), reach, np.minimum)
    if coarse is grey:
        return closed
    return np.asarray(Image.fromarray(closed).resize((width, height), Image.Resampling.BILINEAR))


def lift_ink(grey: Grey) -> Grey:
    """Return the strength of dark ink at each pixel: 0 on the ground, 1 where it is as strong as it mostly is.

    Raises:
        NoDigitError: nothing stands out from the ground and its grain.
    """
    raised = local_ground(grey) - grey
    low, usual = quantiles(raised, 0.05, 0.25)  # of the ground even where half of the picture is ink
    grain = (usual - low) / 0.9704  # the distance of these quantiles of a normal distribution
    raised -= usual
    strong = raised[raised > max(NOISE * float(grain), MIN_CONTRAST)]
    if not len(strong):
        raise NoDigitError("no ink in the picture")
    level = median(strong[strong >= otsu(strong)])
    lifted: Grey = np.clip(raised / level, 0, 1)
    return lifted


def otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that parts values in [0, 1] best into two kinds (Otsu 1979); some value is not below it."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return low
    counts, edges = np.histogram(values, bins=64, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    sums = np.cumsum(counts * centres)
    means_apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above  # the lowest and the highest bin hold some
    return float(edges[1:-1][(below * above * means_apart**2).argmax()])


def _spread(grey: Grey, reach: int, pick: np.ufunc) -> Grey:
    """Return the greatest or least value within `reach` pixels of each, along both axes.

    The window is trebled at each turn, so the work grows with the logarithm of `reach`.
    """
    for _ in range(2):
        out = np.ascontiguousarray(grey.T)
        done = 0
        while done < reach:
            step = min(2 * done + 1, reach - done)
            wider = out.copy()
            pick(wider[step:], out[:-step], out=wider[step:])
            pick(wider[:-step], out[step:], out=wider[:-step])
            out, done = wider, done + step
        grey = out
    return grey


def _reduced(grey: Grey, grid: int) -> Grey:
    factor = -(-max(grey.shape) // grid)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _border(grey: Grey) -> Grey:
    """Return the pixels of the outermost rows and columns, one-dimensional."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _skewness(grey: Grey, reach: int, outside: float | None) -> float:
    """Return, in [-1, 1], to which side the brightness stands out further from the mean within `reach` pixels.

    Outside the picture all is as bright as `outside`, or, where that is None, does not count.
    """
    padded = np.pad(grey, reach, constant_values=0.0 if outside is None else outside)
    means = _window_sums(padded, reach)
    if outside is None:
        counts = [np.convolve(np.ones(length), np.ones(2 * reach + 1), "full")[reach:-reach] for length in grey.shape]
        means = means / np.outer(counts[0], counts[1])
    else:
        means = means / (2 * reach + 1) ** 2
    cubes = (grey - means) ** 3
    return float(cubes.sum()) / max(float(np.abs(cubes).sum()), 1e-12)


def _window_sums(padded: Grey, reach: int) -> NDArray[np.float64]:
    """Return the sum over each square of `2 * reach + 1` pixels that lies inside."""
    sums = np.zeros((padded.shape[0] + 1, padded.shape[1] + 1))
    sums[1:, 1:] = padded.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    side = 2 * reach + 1
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _band(grey: Grey, limit: int) -> int:
    """Return how many of the first rows, at most `limit`, are the side of a frame; 0 where there is none."""
    rows = grey[: limit + 2]
    levels = median(rows)
    flat = (np.abs(rows - levels[0]) < FLAT).mean(axis=1) >= 0.95
    height = int(flat.argmin()) if not flat.all() else len(rows)
    if not 0 < height <= limit:
        return 0
    return height + 1 if abs(levels[min(height + 1, len(rows) - 1)] - levels[0]) > 2 * FLAT else 0
