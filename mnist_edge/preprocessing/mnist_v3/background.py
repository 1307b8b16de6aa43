"""Luminance → ink: what stands out from the paper, the board or the screen around it, whatever light falls on that.

The background is estimated at each pixel, not once for the picture: a gray closing (or, for light ink, an opening) with
a window wider than any stroke fills the strokes with the brightness beside them (Serra 1982; the top-hat transform).
It follows a gradient and the edge of a shadow exactly, so neither becomes ink.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.errors import NoDigitError
from mnist_edge.preprocessing.mnist_v3.quantiles import median, quantiles
from mnist_edge.types import AnyArray, GrayImage

MAX_BACKGROUND_SIDE = 256
"""The background is estimated on a picture whose longer side is at most this many pixels."""

MAX_POLARITY_SIDE = 96
"""The polarity, light or dark ink, is voted on in a picture whose longer side is at most this many pixels."""

CORNER_SHARE = 0.1
"""Side of the squares in the corners that vote on the polarity, as a share of the picture's shorter side."""

WINDOW_SHARE = 0.36
"""Side of the window as a share of the picture's longer side: no stroke of a digit is as wide.

A wider one reads bolder digits and follows uneven light less well.
"""

BORDER_QUANTILE = 0.75
"""At least a quarter of the border is as bright as the paper, however much of it the digit touches."""

BETWEEN = (0.25, 0.75)
"""How much darker than that, as shares of the contrast, is neither paper nor ink."""

MAX_BETWEEN_SHARE = 0.1
"""Share of the border that may be so, as the blurred edges of strokes are; under uneven light, more is."""

MIN_CONTRAST = 0.02
"""Ink differs from its background by at least this much brightness, in [0, 1]."""

MAX_BORDER_VARIATION = 0.1
"""The side of a border varies by less than this brightness, in [0, 1]."""

MIN_FLAT_SHARE = 0.95
"""Share of the pixels of a row of a border that keep to that; noise may take the others."""

MAX_UNEXPLAINED_SHARE = 0.4
"""Share of the mean deviation of the brightness that may be left without the slope, for it to be one of the light.

Under the edge of a shadow across the middle of a picture, the best plane leaves half of it.
"""

NOISE_DEVIATIONS = 5.0
"""What is within this many standard deviations of the paper's grain, from the lower quartile, is not ink."""


MIN_HISTOGRAM_RANGE = 2e-5
"""Values closer together than this are one class: float32 near 1 has too few numbers between them for 64 bins."""


def is_light_on_dark(gray: GrayImage) -> bool:
    """Return whether the ink is lighter than the background.

    Ink covers fewer pixels than paper, so local brightness is skewed towards the ink; the sign of the skewness gives
    the polarity. It is taken in windows of a quarter of the longer side, where a shadow's edge weighs as much on both
    sides, and in windows of a half with the background that the border shows continued outside, for a digit that fills
    its picture. The paper shows along the border and in the corners, where a bold digit leaves little of it elsewhere.
    A frame is ink by the first measure, so it does not flip the answer.
    """
    coarse = _reduce(gray, MAX_POLARITY_SIDE)
    side = max(coarse.shape)
    edge, corners = _border(coarse), _corners(coarse)
    outside = float(median(edge))
    quarter, half = max(1, side // 8), max(1, side // 4)  # a window reaches half of its side in each direction
    middle = (float(coarse.min()) + float(coarse.max())) / 2
    votes = (
        _skewness(coarse, quarter, None),
        _skewness(np.pad(coarse, half, constant_values=outside), half, outside),
        0.5 - float((edge > middle).mean()),
        1 - 2 * float((corners > middle).mean()),
    )
    return sum(votes) > 0


def crop_border(gray: GrayImage) -> tuple[slice, slice]:
    """Return the rows and columns inside a border of one brightness around what is for the most part of another."""
    height, width = gray.shape
    limit = min(height, width) // 4  # at least half of the picture is left
    bands = []
    for side in (gray, gray[::-1], gray.T, gray.T[::-1]):
        bands.append(_border_rows(side, limit))
        if not bands[-1]:
            return slice(0, height), slice(0, width)
    top, bottom, left, right = bands
    if top + bottom >= height or left + right >= width:  # of 4 pixels, the blurred rows take what is inside
        return slice(0, height), slice(0, width)
    return slice(top, height - bottom), slice(left, width - right)


def flatten_illumination(gray: GrayImage) -> GrayImage:
    """Remove a slope of the light: the plane by which the medians of opposite sides of the picture differ.

    The brightness stays as it is in the middle. Where the plane explains little, as at the edge of a shadow, the
    picture is returned unchanged. What is left of uneven light is for `estimate_background`, which is exact on a slope,
    but not at the picture's edge.
    """
    height, width = gray.shape
    deep, wide = max(1, height // 16), max(1, width // 16)  # narrow, so that the digit hardly reaches into it
    down = float(median(gray[-deep:].ravel()) - median(gray[:deep].ravel()))
    right = float(median(gray[:, -wide:].ravel()) - median(gray[:, :wide].ravel()))
    if max(abs(down), abs(right)) < MIN_CONTRAST:
        return gray
    rows, columns = np.linspace(-0.5, 0.5, height, dtype=np.float32), np.linspace(-0.5, 0.5, width, dtype=np.float32)
    flat: GrayImage = gray - np.float32(down) * rows[:, np.newaxis] - np.float32(right) * columns
    before, after = (float(np.abs(values - median(values.ravel())).mean()) for values in (gray, flat))
    return flat if after < MAX_UNEXPLAINED_SHARE * before else gray


def estimate_background(gray: GrayImage) -> GrayImage:
    """Return the brightness of the background at each pixel, for dark ink."""
    height, width = gray.shape
    coarse = _reduce(gray, MAX_BACKGROUND_SIDE)
    reach = max(1, round(max(coarse.shape) * WINDOW_SHARE / 2))
    outside = _level_outside(coarse)
    padded = coarse if outside is None else np.pad(coarse, reach, constant_values=outside)
    closed = _window_extremes(_window_extremes(padded, reach, np.maximum), reach, np.minimum)
    if outside is not None:
        closed = closed[reach:-reach, reach:-reach]
    if coarse is gray:
        return closed
    return np.asarray(Image.fromarray(np.ascontiguousarray(closed)).resize((width, height), Image.Resampling.BILINEAR))


def _level_outside(gray: GrayImage) -> np.float32 | None:
    """Return the brightness of the paper that is continued outside the picture, for dark ink; None in uneven light.

    Without it, the window is cut in half at the edge, and the strokes that lie there are background when they are wider
    than that half. Under a shadow it is not continued: its part of the border would become ink.
    """
    edge = _border(gray)
    (level,) = quantiles(edge, BORDER_QUANTILE)
    contrast = level - float(gray.min())
    less, more = (level - share * contrast for share in BETWEEN)
    between = float(((edge < less) & (edge > more)).mean())
    return np.float32(level) if between < MAX_BETWEEN_SHARE else None


def extract_ink(gray: GrayImage) -> GrayImage:
    """Return the strength of dark ink at each pixel: 0 on the background, 1 where it is as strong as most of it is.

    Raises:
        NoDigitError: nothing stands out from the background and its grain.
    """
    raised = estimate_background(gray) - gray
    low, usual = quantiles(raised, 0.05, 0.25)  # of the background even where half of the picture is ink
    grain = (usual - low) / 0.9704  # the distance of these quantiles of a standard normal distribution
    raised -= usual
    strong = raised[raised > max(NOISE_DEVIATIONS * float(grain), MIN_CONTRAST)]
    if not len(strong):
        raise NoDigitError("no ink in the picture")
    level = median(strong[strong >= otsu_threshold(strong)])
    ink: GrayImage = np.clip(raised / level, 0, 1)
    return ink


def otsu_threshold(values: AnyArray) -> float:
    """Return the threshold that separates values in [0, 1] best into two classes (Otsu 1979); some value reaches it."""
    low, high = float(values.min()), float(values.max())
    if high - low < MIN_HISTOGRAM_RANGE:
        return low
    counts, edges = np.histogram(values, bins=64, range=(low, high))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    sums = np.cumsum(counts * centers)
    means_apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above  # the lowest and the highest bin hold some
    return float(edges[1:-1][(below * above * means_apart**2).argmax()])


def _window_extremes(gray: GrayImage, reach: int, pick: np.ufunc) -> GrayImage:
    """Return the greatest or least value within `reach` pixels of each, along both axes: a dilation or an erosion.

    The window is trebled at each turn, so the work grows with the logarithm of `reach`.
    """
    for _ in range(2):
        out = np.ascontiguousarray(gray.T)
        done = 0
        while done < reach:
            shift = min(2 * done + 1, reach - done)
            wider = out.copy()
            pick(wider[shift:], out[:-shift], out=wider[shift:])
            pick(wider[:-shift], out[shift:], out=wider[:-shift])
            out, done = wider, done + shift
        gray = out
    return gray


def _reduce(gray: GrayImage, max_side: int) -> GrayImage:
    """Average squares of pixels until no side is longer than `max_side`."""
    factor = -(-max(gray.shape) // max_side)
    return gray if factor == 1 else np.asarray(Image.fromarray(gray).reduce(factor))


def _border(gray: GrayImage) -> GrayImage:
    """Return the pixels of the outermost rows and columns, one-dimensional."""
    return np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])


def _corners(gray: GrayImage) -> GrayImage:
    """Return the pixels of the squares in the four corners, one-dimensional."""
    side = max(1, int(CORNER_SHARE * min(gray.shape)))
    ends = (slice(0, side), slice(-side, None))
    return np.concatenate([gray[rows, columns].ravel() for rows in ends for columns in ends])


def _skewness(gray: GrayImage, reach: int, outside: float | None) -> float:
    """Return in [-1, 1] to which side the brightness stands out further from the mean within `reach` pixels.

    Outside the picture all is as bright as `outside`, or, where that is None, does not count.
    """
    padded = np.pad(gray, reach, constant_values=0.0 if outside is None else outside)
    means = _window_sums(padded, reach)
    if outside is None:
        counts = [np.convolve(np.ones(length), np.ones(2 * reach + 1), "full")[reach:-reach] for length in gray.shape]
        means = means / np.outer(counts[0], counts[1])
    else:
        means = means / (2 * reach + 1) ** 2
    deviations = gray - means
    cubes = deviations * deviations * deviations  # many times as fast as a power
    return float(cubes.sum()) / max(float(np.abs(cubes).sum()), 1e-12)


def _window_sums(padded: GrayImage, reach: int) -> NDArray[np.float64]:
    """Return the sum over each square of `2 * reach + 1` pixels that lies inside."""
    sums = np.zeros((padded.shape[0] + 1, padded.shape[1] + 1))
    sums[1:, 1:] = padded.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    side = 2 * reach + 1
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _border_rows(gray: GrayImage, limit: int) -> int:
    """Return how many of the first rows, at most `limit`, are the side of a border; 0 where there is none."""
    rows = gray[: limit + 2]
    levels = median(rows)
    flat = (np.abs(rows - levels[0]) < MAX_BORDER_VARIATION).mean(axis=1) >= MIN_FLAT_SHARE
    height = int(flat.argmin()) if not flat.all() else len(rows)
    if not 0 < height <= limit:
        return 0
    # The row after the border may be blurred: it is cropped too, and the one behind it is what must be different.
    return height + 1 if abs(levels[min(height + 1, len(rows) - 1)] - levels[0]) > 2 * MAX_BORDER_VARIATION else 0
