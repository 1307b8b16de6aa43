"""A digit's ink → the 28×28 input of the model, made as MNIST's authors made theirs.

LeCun et al. (1998) scaled each digit into a 20×20 box, keeping its proportions, and placed it in a 28×28 field by its
center of mass.
"""

import math
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.errors import NoDigitError
from mnist_edge.types import AnyArray, GrayImage

INPUT_SIDE = 28
"""Side of the model's input in pixels."""

DIGIT_SIDE = 20
"""Side of the box into which the digit is scaled, in pixels."""

CENTER = 14.5
"""Row and column of the center of mass in the input, in pixels from its corner; MNIST has it within half a pixel."""

SUPERSAMPLING = 4
"""The stroke width is changed on a digit this many times as large as it will be."""

MIN_INK = np.float32(0.05)
"""Ink weaker than this is taken for none, in [0, 1]."""

STROKE_WIDTHS = (2.3, 3.5)
"""Narrower and wider strokes are brought to this width in the 28×28 input, in pixels.

They are the median and the 95 % quantile of `stroke_width` over MNIST's training images.
"""


def normalize_size(ink: GrayImage) -> GrayImage:
    """Return a digit with strokes as wide as MNIST's and a longer side of `DIGIT_SIDE` pixels, float32 in [0, 1].

    Raises:
        NoDigitError: it is so scattered that nothing is left of it at that size.
    """
    large = normalize_stroke_width(resize_to_side(crop_to_ink(ink), DIGIT_SIDE * SUPERSAMPLING))
    if large.max() < MIN_INK:
        raise NoDigitError("the ink in the picture is too scattered for a digit")
    return resize_to_side(crop_to_ink(np.where(large < MIN_INK, 0, large)), DIGIT_SIDE)


def normalize_stroke_width(ink: GrayImage) -> GrayImage:
    """Thicken strokes narrower than MNIST's, and thin wider ones.

    Args:
        ink: a digit whose longer side is `SUPERSAMPLING` times `DIGIT_SIDE`.
    """
    width = stroke_width(ink)
    low, high = STROKE_WIDTHS[0] * SUPERSAMPLING, STROKE_WIDTHS[1] * SUPERSAMPLING
    if width < low:
        return dilate_disk(ink, (low - width) / 2)
    if width > high:
        return erode_disk(ink, (width - high) / 2)
    return ink


def stroke_width(ink: GrayImage) -> float:
    """Return the mean width of the strokes in pixels: twice their area over their outline, which both sides make.

    The outline's length is taken as the total variation, so that soft edges count as much as hard ones.
    """
    padded = with_margin(ink, 1)
    here = padded[:-1, :-1]
    down, right = padded[1:, :-1] - here, padded[:-1, 1:] - here
    outline = float(np.hypot(down, right).sum())
    return 2 * float(ink.sum()) / max(outline, 1e-6)


def with_margin(ink: GrayImage, margin: int) -> GrayImage:
    """Return the ink with `margin` pixels without any on every side, as `np.pad` does in several times the time."""
    height, width = ink.shape
    out = np.zeros((height + 2 * margin, width + 2 * margin), dtype=ink.dtype)
    out[margin : margin + height, margin : margin + width] = ink
    return out


def dilate_disk(ink: GrayImage, radius: float) -> GrayImage:
    """Return the ink with `radius` pixels more on every side, by a dilation with a soft-edged disk."""
    reach = int(np.ceil(radius + 0.5)) - 1
    height, width = ink.shape
    out = with_margin(ink, reach)
    offsets = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1) if y or x]
    for distance, at in groupby(sorted(offsets, key=_distance), key=_distance):
        weight = min(1.0, radius + 0.5 - distance)
        if weight <= 0:
            break
        weakened = ink * np.float32(weight)
        for y, x in at:
            target = out[reach + y : reach + y + height, reach + x : reach + x + width]
            np.maximum(target, weakened, out=target)
    return out


def _distance(offset: tuple[int, int]) -> float:
    y, x = offset
    return math.sqrt(y * y + x * x)


def erode_disk(ink: GrayImage, radius: float) -> GrayImage:
    """Return the ink with `radius` pixels less on every side: a dilation of what is not ink, as all is outside."""
    reach = max(1, int(np.ceil(radius + 0.5)) - 1)
    height, width = ink.shape
    dilated = dilate_disk(1 - with_margin(ink, reach), radius)
    top = (dilated.shape[0] - height) // 2
    left = (dilated.shape[1] - width) // 2
    return 1 - dilated[top : top + height, left : left + width]


def resize_to_side(ink: GrayImage, side: int) -> GrayImage:
    """Resize to a longer side of `side` pixels, with antialiasing, keeping the proportions."""
    height, width = ink.shape
    by = side / max(height, width)
    size = (max(1, round(width * by)), max(1, round(height * by)))
    if size == (width, height):
        return ink
    resized = Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC)
    clipped: GrayImage = np.clip(np.asarray(resized), 0, 1)  # bicubic overshoots at sharp edges
    return clipped


def crop_to_ink(ink: GrayImage) -> GrayImage:
    """Return the smallest rectangle that holds all ink; there must be some."""
    rows, columns = (np.asarray(ink.any(axis=axis)) for axis in (1, 0))
    bottom, right = len(rows) - rows[::-1].argmax(), len(columns) - columns[::-1].argmax()
    return ink[rows.argmax() : bottom, columns.argmax() : right]


def center_in_input(ink: GrayImage) -> GrayImage:
    """Put a digit of at most 20×20 into a black 28×28 field, its center of mass as near to the middle as it fits."""
    shift = np.rint(CENTER - center_of_mass(ink)).astype(int)
    top, left = np.clip(shift, 0, INPUT_SIDE - np.array(ink.shape))
    field = np.zeros((INPUT_SIDE, INPUT_SIDE), dtype=np.float32)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return field


def center_of_mass(ink: AnyArray) -> NDArray[np.float64]:
    """Return (row, column) of the center of mass, in pixels from the upper left corner of the picture."""
    rows, columns = ink.sum(axis=1, dtype=np.float64), ink.sum(axis=0, dtype=np.float64)
    at = [rows @ (np.arange(len(rows)) + 0.5), columns @ (np.arange(len(columns)) + 0.5)]
    center: NDArray[np.float64] = np.array(at) / rows.sum()
    return center
