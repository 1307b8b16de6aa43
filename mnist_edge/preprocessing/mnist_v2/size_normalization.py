"""A digit's ink → the 28×28 field of the model, as MNIST's authors made theirs.

LeCun et al. (1998) scaled each digit into a 20×20 box, keeping its proportions, and placed it in a 28×28 field by its
centre of mass.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2.grayscale import Grey

FIELD = 28
"""Side of the model's input in pixels."""

BOX = 20
"""Side of the box into which the digit is scaled, in pixels."""

CENTRE = 14.5
"""Row and column of the centre of mass in the field, in pixels from its corner, as MNIST has it within half a pixel."""

FINE = 4
"""The pen is changed on a digit so many times as large as it will be."""

FAINT = np.float32(0.05)
"""Ink weaker than this is none."""

PEN = (2.3, 3.5)
"""Thinner and thicker pens are brought to this width in the 28×28 field, in pixels.

They are the median and the 95 % quantile of `pen_width` over MNIST's training images.
"""


def fills_box(height: int, width: int, bottom: int) -> bool:
    """Say whether ink of a height and width, which ends above the row `bottom`, fills MNIST's box of 20 pixels.

    A few of MNIST's digits were placed so low, by their centre of mass, that their last row was cut off.
    """
    return max(height, width) == BOX or (bottom == FIELD and height == BOX - 1 and width < BOX)


def pen_width(ink: Grey) -> float:
    """Return the mean width of the strokes in pixels: twice their area over their outline, which both sides make.

    The outline's length is taken as the total variation, so that soft edges count as much as hard ones.
    """
    padded = np.pad(ink, 1)
    down, right = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    outline = float(np.hypot(down, right).sum())
    return 2 * float(ink.sum()) / max(outline, 1e-6)


def scale(ink: Grey, side: int) -> Grey:
    """Scale to a longer side of `side` pixels, with antialiasing, keeping the proportions."""
    height, width = ink.shape
    by = side / max(height, width)
    size = (max(1, round(width * by)), max(1, round(height * by)))
    if size == (width, height):
        return ink
    scaled = Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC)
    clipped: Grey = np.clip(np.asarray(scaled), 0, 1)
    return clipped


def with_pen(ink: Grey) -> Grey:
    """Thicken strokes thinner than MNIST's are, and thin thicker ones; the longer side is `FINE` times `BOX`."""
    width = pen_width(ink)
    low, high = PEN[0] * FINE, PEN[1] * FINE
    if width < low:
        return grown(ink, (low - width) / 2)
    if width > high:
        return 1 - grown(1 - ink, (width - high) / 2)
    return ink


def grown(ink: Grey, radius: float) -> Grey:
    """Return the ink with `radius` pixels more on every side, by a dilation with a soft disc."""
    reach = int(np.ceil(radius + 0.5)) - 1
    height, width = ink.shape
    out = np.pad(ink, reach)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            weight = min(1.0, radius + 0.5 - float(np.hypot(y, x)))
            if weight > 0 and (y or x):
                target = out[reach + y : reach + y + height, reach + x : reach + x + width]
                np.maximum(target, ink * np.float32(weight), out=target)
    return out


def draw(ink: Grey) -> Grey:
    """Return the digit with a pen like MNIST's and a longer side of 20 pixels."""
    fine = with_pen(scale(crop(ink), BOX * FINE))
    return scale(crop(np.where(fine < FAINT, 0, fine)), BOX)


def crop(ink: Grey) -> Grey:
    """Return the smallest rectangle that holds all ink; some ink there must be."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def place(ink: Grey) -> Grey:
    """Put a digit of at most 20×20 into a black 28×28 field, its centre of mass in the middle as near as it fits."""
    shift = np.rint(CENTRE - centre_of_mass(ink)).astype(int)
    top, left = np.clip(shift, 0, FIELD - np.array(ink.shape))
    field = np.zeros((FIELD, FIELD), dtype=np.float32)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return field


def centre_of_mass(ink: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return (row, column) of the centre of mass, in pixels from the upper left corner of the picture."""
    rows, columns = ink.sum(axis=1, dtype=np.float64), ink.sum(axis=0, dtype=np.float64)
    at = [rows @ (np.arange(len(rows)) + 0.5), columns @ (np.arange(len(columns)) + 0.5)]
    centre: NDArray[np.float64] = np.array(at) / rows.sum()
    return centre
