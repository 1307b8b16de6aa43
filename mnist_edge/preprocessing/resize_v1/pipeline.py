"""Any picture → the model's input: upright, in gray or color, scaled to the input's height and width.

A picture of other proportions is squeezed. Light stays light: whether the things in the pictures are light on dark or
dark on light is as the training images have it. Pixels are rounded to 8 bits before they are divided by 255, so that a
PNG of the input's size passes unchanged.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.errors import UserError
from mnist_edge.preprocessing.guard import PILLOW_GUARD
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.preprocessing.result import Preprocessing, PreprocessingResult, Stage
from mnist_edge.types import AnyArray, Images, TensorSpec

MAX_SIDE = 96
"""Most pixels of the height and the width of an input."""

OVERSAMPLING = 4
"""A picture is reduced by averaging squares of pixels while it stays this many times as large as the input."""

MAX_STRIP_PIXELS = 1 << 20
"""Pixels of a picture that are converted at a time: no step holds a second copy of a large picture."""

HIGH_BIT_DEPTH_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Modes of Pillow with more than 8 bits; whole numbers of them are taken for 16 bits, as in a PNG."""

Bytes = NDArray[np.uint8]


def for_input(tensor: TensorSpec) -> Preprocessing:
    """Return the preprocessing that gives an input of this shape.

    Raises:
        UserError: the shape is not one of gray or color images of at most `MAX_SIDE` pixels a side.
    """
    channels, height, width = tensor.shape
    if channels not in (1, 3) or max(height, width) > MAX_SIDE:
        raise UserError(
            f"resize/1 gives images of 1 or 3 channels and at most {MAX_SIDE}×{MAX_SIDE} pixels, "
            f"not {list(tensor.shape)}: give channels first, at most {MAX_SIDE} values a side, and what is not a "
            "picture as one channel, such as [1, sensors, times]"
        )
    output = TensorSpec("image", tensor.shape, "NCHW", "float32", (0.0, 1.0), "as-pictured")
    return Preprocessing(output, partial(preprocess, output), partial(as_model_input, output), None)


def preprocess(output: TensorSpec, picture: Image.Image) -> PreprocessingResult:
    """Return the input that a picture gives, as the only stage.

    Raises:
        PictureError: its mode can't be converted.
    """
    channels, height, width = output.shape
    picture = apply_exif_orientation(picture)
    factor = max(1, min(picture.width // (OVERSAMPLING * width), picture.height // (OVERSAMPLING * height)))
    mode = "L" if channels == 1 else "RGB"
    pixels = Image.fromarray(np.concatenate([_converted(strip, mode, factor) for strip in _strips(picture, factor)]))
    with PILLOW_GUARD:
        scaled = pixels if pixels.size == (width, height) else pixels.resize((width, height), Image.Resampling.BILINEAR)
    return PreprocessingResult((Stage("model input", _unit(np.asarray(scaled))),), sixteen_bits=True)


def as_model_input(output: TensorSpec, array: AnyArray) -> Images | None:
    """Return an array as the model's input, where it has its size and range, as floats in [0, 1] or uint8; else None.

    Args:
        output: the input.
        array: `[height, width]` where the input has one channel, or `[channels, height, width]`.
    """
    if array.shape != output.shape and not (array.shape == output.shape[1:] and output.shape[0] == 1):
        return None
    if array.dtype == np.uint8:
        return _unit(array).reshape(1, *output.shape)
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):  # also where there is a NaN
        return None
    return np.ascontiguousarray(array, dtype=np.float32).reshape(1, *output.shape)


def _unit(values: Bytes) -> Images:
    return values.astype(np.float32) / np.float32(255)


def _strips(picture: Image.Image, factor: int) -> Iterator[Image.Image]:
    """Cut a picture into strips of rows, all but the last a multiple of `factor` high."""
    rows = max(1, MAX_STRIP_PIXELS // picture.width // factor) * factor
    if picture.mode == "F" or picture.height <= rows:  # the range of floats is that of the whole picture
        yield picture
        return
    for row in range(0, picture.height, rows):
        with PILLOW_GUARD:
            strip = picture.crop((0, row, picture.width, min(row + rows, picture.height)))
        yield strip


def _converted(strip: Image.Image, mode: str, factor: int) -> Bytes:
    """Return a strip in 8 bits, `[height, width]` or `[height, width, 3]`, its transparent parts laid over white."""
    if strip.mode in HIGH_BIT_DEPTH_MODES:
        strip = Image.fromarray(_eight_bits(strip))
    with PILLOW_GUARD:
        if strip.has_transparency_data:
            layer = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        converted = strip if strip.mode == mode else strip.convert(mode)
        return np.asarray(converted if factor == 1 else converted.reduce(factor))


def _eight_bits(strip: Image.Image) -> Bytes:
    """Return values of high bit depth in 8 bits; floats beyond [0, 1] are stretched by their own range first."""
    with PILLOW_GUARD:
        values = np.asarray(strip, dtype=np.float64)
    if strip.mode != "F":
        return np.rint(values.clip(0, 65_535) / 257).astype(np.uint8)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low < 0 or high > 1:
        values = (values - low) / max(high - low, 1e-30)
    eight: Bytes = np.rint(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255).astype(np.uint8)
    return eight
