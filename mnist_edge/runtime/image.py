"""Any picture of one digit → the tensor of the contract, as MNIST's authors made theirs.

LeCun et al. (1998) scaled each digit into a 20×20 box, keeping its proportions, and placed it in a 28×28 field by its
centre of mass. Each step here is a function of its own.
"""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FIELD = 28
"""Side of the model's input in pixels."""

BOX = 20
"""Side of the box into which the digit is scaled, in pixels."""

MIN_CONTRAST = 0.02
"""A picture whose brightness, in [0, 1], spans less than this is blank."""

Grey = NDArray[np.float32]
"""A picture as brightness, `[height, width]` in [0, 1]."""


class PictureError(ValueError):
    """A picture can't be read."""


class NoDigitError(ValueError):
    """A picture holds no ink."""


def prepare(picture: Image.Image) -> NDArray[np.float32]:
    """Return the model's input, float32 `[1, 1, 28, 28]` in [0, 1], white ink on black, for a picture of one digit.

    A picture that already is as MNIST's are passes unchanged, bit for bit.

    Raises:
        NoDigitError: the picture is blank.
        PictureError: its colours can't be understood.
    """
    grey = to_grey(upright(picture))
    if not is_prepared(picture, grey):
        grey = place(fit(crop(lift_ink(light_ink(grey)))))
    return grey[np.newaxis, np.newaxis]


def upright(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; where that can't be read, leave it as it is."""
    try:
        return ImageOps.exif_transpose(picture)
    except (SyntaxError, ValueError, OSError, struct.error):
        return picture


def to_grey(picture: Image.Image) -> Grey:
    """Return the brightness, with transparent parts laid over white, or over black where the ink itself is light.

    Raises:
        PictureError: Pillow can't convert the picture's mode.
    """
    if picture.mode in ("I;16", "I;16B", "I", "F"):
        return _stretch(np.asarray(picture, dtype=np.float32))
    if not picture.has_transparency_data:
        try:
            return _unit(picture.convert("L"))
        except ValueError as error:
            raise PictureError(f"the picture's mode {picture.mode} has no brightness") from error
    coloured = picture.convert("RGBA")
    grey = _unit(coloured.convert("RGB").convert("L"))
    alpha = _unit(coloured.getchannel("A"))
    ink_brightness = float((grey * alpha).sum() / max(float(alpha.sum()), 1.0))
    ground = 1.0 if ink_brightness < 0.5 else 0.0
    return grey * alpha + ground * (1 - alpha)


def is_prepared(picture: Image.Image, grey: Grey) -> bool:
    """Say whether a picture already is as MNIST's are: 28×28, grey, light ink in a centred 20×20 box on pure black."""
    if picture.mode != "L" or grey.shape != (FIELD, FIELD) or not grey.any():
        return False
    rows, columns = (np.flatnonzero(grey.any(axis=axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return bool(max(height, width) == BOX and np.abs(_centre_of_mass(grey) - FIELD / 2).max() <= 1)


def light_ink(grey: Grey) -> Grey:
    """Invert where the border is light, so that ink is bright on a dark ground.

    Raises:
        NoDigitError: all is of one brightness.
    """
    low, high = float(grey.min()), float(grey.max())
    if high - low < MIN_CONTRAST:
        raise NoDigitError("no ink in the picture")
    return 1 - grey if np.median(_border(grey)) > (low + high) / 2 else grey


def lift_ink(grey: Grey) -> Grey:
    """Set the ground to 0 and the brightest ink to 1, cutting off what is nearer to the ground than to the ink."""
    ground = float(np.median(_border(grey)))
    ink = np.clip(grey - ground, 0, None)
    peak = float(np.quantile(ink[ink > _otsu(ink)], 0.5)) if ink.any() else 0.0
    if peak < MIN_CONTRAST:
        raise NoDigitError("no ink in the picture")
    lifted = np.clip(ink / peak, 0, 1)
    return np.where(lifted < 0.3, 0, lifted).astype(np.float32)


def crop(grey: Grey) -> Grey:
    """Return the smallest rectangle that holds all ink; some ink there must be."""
    rows, columns = (np.flatnonzero(grey.any(axis=axis)) for axis in (1, 0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fit(grey: Grey) -> Grey:
    """Scale to a longer side of 20 pixels, with antialiasing, keeping the proportions."""
    height, width = grey.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(scaled, dtype=np.float32), 0, 1)


def place(grey: Grey) -> Grey:
    """Put a digit of at most 20×20 into a black 28×28 field, its centre of mass in the middle as near as it fits."""
    shift = np.rint(FIELD / 2 - _centre_of_mass(grey)).astype(int)
    top, left = np.clip(shift, 0, FIELD - np.array(grey.shape))
    field = np.zeros((FIELD, FIELD), dtype=np.float32)
    field[top : top + grey.shape[0], left : left + grey.shape[1]] = grey
    return field


def _unit(picture: Image.Image) -> Grey:
    """Return the values of an 8-bit picture, divided by 255."""
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _stretch(values: Grey) -> Grey:
    """Map the values of a deep picture to [0, 1] by their own range; one that is not finite counts as the least."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros_like(values)
    low, high = float(values[finite].min()), float(values[finite].max())
    return np.where(finite, (values - low) / max(high - low, 1e-12), 0).astype(np.float32)


def _border(grey: Grey) -> Grey:
    """Return the pixels of the outermost rows and columns, one-dimensional."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _centre_of_mass(grey: Grey) -> NDArray[np.float64]:
    """Return (row, column) of the centre of mass, in pixels from the upper left corner of the picture."""
    weights = grey.astype(np.float64)
    mass = weights.sum()
    rows = weights.sum(axis=1) @ (np.arange(grey.shape[0]) + 0.5)
    columns = weights.sum(axis=0) @ (np.arange(grey.shape[1]) + 0.5)
    return np.array([rows / mass, columns / mass])


def _otsu(ink: Grey) -> float:
    """Return the threshold that parts two kinds of brightness best (Otsu 1979), in [0, 1)."""
    counts, edges = np.histogram(ink, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(np.where(np.isfinite(between), between, -1))])
