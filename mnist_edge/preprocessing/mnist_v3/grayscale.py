"""Any picture → its luminance: transparency and bit depth are settled here.

A picture may be far larger than what is needed of it, so it is read in strips, each reduced at once: no step holds a
second copy of the whole picture.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.guard import PILLOW_GUARD
from mnist_edge.preprocessing.mnist_v3.quantiles import median
from mnist_edge.types import Box, GrayImage

Element = TypeVar("Element", np.uint8, np.float32)

MAX_STRIP_PIXELS = 1 << 20
"""Pixels of a picture that are converted at a time."""

HIGH_BIT_DEPTH_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Modes of Pillow whose values have no fixed range."""

MODES_WITHOUT_CONVERSION = ("LAB", "La")
"""Modes that Pillow does not convert to brightness."""


def luminance(
    picture: Image.Image, box: Box | None = None, max_side: int = 1 << 30, *, layered: bool | None = None
) -> GrayImage:
    """Return the luminance of the part `box` of a picture, all of it by default: float32 `[height, width]` in [0, 1].

    Colors are weighted as in ITU-R BT.601, by Pillow. Where a side is longer than `max_side` pixels, squares of pixels
    are averaged until none is. Transparent parts are laid over white, or over black where the ink itself is light; a
    picture whose alpha is 255 everywhere is read as one without alpha. The values of a picture with more than eight
    bits are stretched to their own range; those that are not finite become their median.

    Args:
        picture: of any mode.
        box: left, top, right and bottom, the last two not included.
        max_side: of what is returned, in pixels.
        layered: what `is_layered` says of the picture, for who has asked before.

    Raises:
        PictureError: Pillow can't convert the picture.
    """
    box = box or (0, 0, *picture.size)
    factor = -(-max(box[2] - box[0], box[3] - box[1]) // max_side)
    if picture.mode in HIGH_BIT_DEPTH_MODES:
        return stretch(_stack([_read_high_bit_depth(strip, factor) for strip in _strips(picture, box, factor)]))
    if picture.mode in MODES_WITHOUT_CONVERSION:
        raise PictureError(f"the picture's mode {picture.mode} has no brightness")
    if layered is None:
        layered = is_layered(picture)
    modes: tuple[str, ...] = ("L",)
    with PILLOW_GUARD:
        if picture.has_transparency_data:
            modes = ("RGBA",) if layered else ("RGBA", "L")
    values = _stack([_read(strip, modes, factor) for strip in _strips(picture, box, factor)])
    return alpha_composite(values) if layered else to_unit_range(values)


def is_layered(picture: Image.Image) -> bool:
    """Return whether some pixel of a picture is not opaque, which is looked for in all of it.

    Raises:
        PictureError: Pillow can't convert the picture.
    """
    if picture.mode in (*HIGH_BIT_DEPTH_MODES, *MODES_WITHOUT_CONVERSION):
        return False
    with PILLOW_GUARD:
        if not picture.has_transparency_data:
            return False
        if picture.mode in ("1", "L", "P"):
            return any(
                count and alpha < 255 for count, alpha in zip(picture.histogram(), _alphas(picture), strict=True)
            )
    for strip in _strips(picture, (0, 0, *picture.size), 1):
        with PILLOW_GUARD:
            layers = strip if "A" in strip.getbands() else strip.convert("RGBA")
            if layers.getchannel("A").getextrema() != (255, 255):
                return True
    return False


def _alphas(picture: Image.Image) -> bytes:
    """Return the alpha of each of the 256 values that a pixel of one byte may have."""
    values = picture.crop((0, 0, 256, 1))
    values.putdata(range(256))
    return values.convert("RGBA").getchannel("A").tobytes()


def alpha_composite(values: NDArray[np.uint8]) -> GrayImage:
    """Return the luminance of RGBA values `[height, width, 4]` over white, or over black where the ink is light."""
    gray = to_unit_range(np.asarray(Image.fromarray(values[..., :3]).convert("L")))
    alpha = to_unit_range(values[..., 3])
    ink = float((gray * alpha).sum() / max(float(alpha.sum()), 1.0))
    background = np.float32(1.0 if ink < 0.5 else 0.0)
    return gray * alpha + background * (1 - alpha)


def to_unit_range(values: NDArray[np.uint8]) -> GrayImage:
    """Return 8-bit values divided by 255."""
    return values.astype(np.float32) / np.float32(255)


def stretch(values: GrayImage) -> GrayImage:
    """Map the values of a picture of high bit depth to [0, 1] by their own range."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros_like(values)
    low, high = float(finite.min()), float(finite.max())
    if len(finite) < values.size:
        middle = median(finite.astype(np.float64))  # whose two values may add up to more than a float32 holds
        values = np.where(np.isfinite(values), values, np.float32(middle))
    with np.errstate(over="ignore"):
        return np.clip((values.astype(np.float64) - low) / max(high - low, 1e-30), 0, 1).astype(np.float32)


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


def _strips(picture: Image.Image, box: Box, factor: int) -> Iterator[Image.Image]:
    """Cut the part `box` of a picture into strips of rows, all but the last a multiple of `factor` high."""
    left, top, right, bottom = box
    rows = max(1, MAX_STRIP_PIXELS // (right - left) // factor) * factor
    if box == (0, 0, *picture.size) and bottom <= rows:
        yield picture
        return
    for row in range(top, bottom, rows):
        with PILLOW_GUARD:
            strip = picture.crop((left, row, right, min(row + rows, bottom)))
        yield strip


def _read(strip: Image.Image, modes: tuple[str, ...], factor: int) -> NDArray[np.uint8]:
    """Return a strip, converted to each of these modes in turn and reduced."""
    with PILLOW_GUARD:
        for mode in modes:
            strip = _converted(strip, mode)
        return np.asarray(strip if factor == 1 else strip.reduce(factor))


def _read_high_bit_depth(strip: Image.Image, factor: int) -> NDArray[np.float32]:
    """Return the averages of the values, not finite where one of them is not."""
    with PILLOW_GUARD:
        values = np.asarray(strip, dtype=np.float32)
        return values if factor == 1 else np.asarray(Image.fromarray(values).reduce(factor))


def _stack(strips: list[NDArray[Element]]) -> NDArray[Element]:
    return strips[0] if len(strips) == 1 else np.vstack(strips)
