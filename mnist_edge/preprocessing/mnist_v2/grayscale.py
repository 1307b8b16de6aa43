"""Any picture → its brightness: orientation, transparency and depth are settled here.

A picture may be far larger than what is needed of it, so it is read in strips, each reduced at once: no step holds a
second copy of the whole picture.
"""

import struct
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2.quantiles import median

Grey = NDArray[np.float32]
"""Brightness or ink, `[height, width]` in [0, 1]."""

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels, right and lower not included."""

Value = TypeVar("Value", np.uint8, np.float32)

STRIP = 1 << 20
"""Pixels of a picture that are converted at a time."""

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Modes of Pillow whose values have no fixed range."""


class PictureError(ValueError):
    """A picture can't be read."""


def upright(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; where that can't be read, leave it as it is."""
    try:
        if picture.getexif().get(0x0112, 1) == 1:
            return picture
        from PIL import ImageOps  # most pictures do without it

        return ImageOps.exif_transpose(picture)
    except (SyntaxError, ValueError, OSError, struct.error):
        return picture


def brightness(picture: Image.Image, box: Box | None = None, limit: int = 1 << 30) -> Grey:
    """Return the brightness of the part `box` of a picture, all of it by default.

    Where a side of that is longer than `limit` pixels, squares of pixels are averaged until none is. Transparent parts
    are laid over white, or over black where the ink itself is light. The values of a picture with more than eight bits
    are stretched to their own range, and those that are not finite take the middle value.

    Raises:
        PictureError: Pillow can't convert the picture's mode.
    """
    box = box or (0, 0, *picture.size)
    factor = -(-max(box[2] - box[0], box[3] - box[1]) // limit)
    if picture.mode in DEEP_MODES:
        return stretch(_stacked([_read_deep(strip, factor) for strip in _strips(picture, box, factor)]))
    mode = "RGBA" if picture.has_transparency_data else "L"
    values = _stacked([_read(strip, mode, factor) for strip in _strips(picture, box, factor)])
    return lay_over(values) if mode == "RGBA" else unit(values)


def lay_over(values: NDArray[np.uint8]) -> Grey:
    """Return the brightness of RGBA values `[height, width, 4]` over white, or over black where the ink is light."""
    grey = unit(np.asarray(Image.fromarray(values[..., :3]).convert("L")))
    alpha = unit(values[..., 3])
    ink = float((grey * alpha).sum() / max(float(alpha.sum()), 1.0))
    ground = np.float32(1.0 if ink < 0.5 else 0.0)
    return grey * alpha + ground * (1 - alpha)


def unit(values: NDArray[np.uint8]) -> Grey:
    """Return 8-bit values divided by 255."""
    return values.astype(np.float32) / np.float32(255)


def stretch(values: Grey) -> Grey:
    """Map the values of a deep picture to [0, 1] by their own range."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros_like(values)
    low, high = float(finite.min()), float(finite.max())
    if len(finite) < values.size:
        values = np.where(np.isfinite(values), values, median(finite))
    with np.errstate(over="ignore"):
        return np.clip((values.astype(np.float64) - low) / max(high - low, 1e-30), 0, 1).astype(np.float32)


def _strips(picture: Image.Image, box: Box, factor: int) -> Iterator[Image.Image]:
    """Cut the part `box` of a picture into strips of rows, all but the last a multiple of `factor` high."""
    left, top, right, bottom = box
    rows = max(1, STRIP // (right - left) // factor) * factor
    if box == (0, 0, *picture.size) and bottom <= rows:
        yield picture
        return
    for row in range(top, bottom, rows):
        yield picture.crop((left, row, right, min(row + rows, bottom)))


def _read(strip: Image.Image, mode: str, factor: int) -> NDArray[np.uint8]:
    try:
        converted = strip if strip.mode == mode else strip.convert(mode)
    except ValueError as error:
        raise PictureError(f"the picture's mode {strip.mode} has no brightness") from error
    return np.asarray(converted if factor == 1 else converted.reduce(factor))


def _read_deep(strip: Image.Image, factor: int) -> NDArray[np.float32]:
    """Return the averages of the values, not finite where one of them is not."""
    values = np.asarray(strip, dtype=np.float32)
    return values if factor == 1 else np.asarray(Image.fromarray(values).reduce(factor))


def _stacked(strips: list[NDArray[Value]]) -> NDArray[Value]:
    return strips[0] if len(strips) == 1 else np.vstack(strips)
