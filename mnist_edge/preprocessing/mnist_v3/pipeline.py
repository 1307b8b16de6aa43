"""Any picture of one digit → the model's input, in stages that can be looked at one by one.

The picture is set upright and reduced to its luminance (`grayscale`), its ink is separated from the background
whatever the light (`background`), the digit from specks, lines and frames (`segmentation`), and the digit is scaled,
given strokes as wide as MNIST's, and centered (`size_normalization`).
"""

from PIL import Image

from mnist_edge.preprocessing.mnist_v3.background import (
    crop_border,
    extract_ink,
    flatten_illumination,
    is_light_on_dark,
)
from mnist_edge.preprocessing.mnist_v3.grayscale import is_layered, luminance
from mnist_edge.preprocessing.mnist_v3.layout import is_mnist_layout
from mnist_edge.preprocessing.mnist_v3.segmentation import Segmentation, segment_digit
from mnist_edge.preprocessing.mnist_v3.size_normalization import center_in_input, normalize_size
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.preprocessing.result import PreprocessingResult, Stage
from mnist_edge.types import Box, GrayImage

MAX_WORKING_SIDE = 800
"""The digit is looked for in a picture whose longer side has at most this many pixels; a larger one is reduced."""

MIN_DIGIT_SIDE = 100
"""A digit whose longer side has fewer pixels after that is read again from the original picture."""

MARGIN_SHARE = 0.5
"""So much background is taken around it, as a share of its longer side."""


def preprocess(picture: Image.Image) -> PreprocessingResult:
    """Return what each stage makes of a picture of one digit; the last one is the model's input.

    That is 28×28 in [0, 1], white ink on black. A picture that already is as MNIST's passes unchanged, bit for bit, and
    its negative is only inverted.

    Raises:
        NoDigitError: the picture holds no ink, or only scattered specks.
        PictureError: its mode can't be converted to gray.
    """
    picture = apply_exif_orientation(picture)
    layered = is_layered(picture)
    gray = luminance(picture, max_side=MAX_WORKING_SIDE, layered=layered)
    first = Stage("brightness", gray)
    if is_mnist_layout(gray):
        return PreprocessingResult((first, Stage("model input", gray)))
    if is_mnist_layout(negative := 1 - gray):
        return PreprocessingResult((first, Stage("model input", negative)))
    rows, columns = crop_border(gray)
    inside = flatten_illumination(gray[rows, columns])
    light = is_light_on_dark(inside)
    found_stages, found = _find_digit(inside, light)
    stages = [first, *found_stages]
    others = found.other_digits
    factor = -(-max(picture.size) // MAX_WORKING_SIDE)
    if factor > 1 and max(found.box[2] - found.box[0], found.box[3] - found.box[1]) < MIN_DIGIT_SIDE:
        box = _box_in_original(found.box, (columns.start, rows.start) * 2, factor, picture.size)
        # Twice that side, because the margins make the box twice as large as the digit.
        near = luminance(picture, box, max_side=2 * MIN_DIGIT_SIDE, layered=layered)
        found_stages, found = _find_digit(flatten_illumination(near), light)
        stages += [Stage("close-up", near), *found_stages]
        others = max(others, found.other_digits)  # from nearer, those further away are out of sight
    scaled = normalize_size(found.ink)
    stages += [Stage("stroke width", scaled), Stage("model input", center_in_input(scaled))]
    return PreprocessingResult(tuple(stages), others)


def _find_digit(gray: GrayImage, light: bool) -> tuple[list[Stage], Segmentation]:
    """Return the digit in a picture whose ink is light or dark, and the stages on the way to it."""
    ink = extract_ink(1 - gray if light else gray)
    found = segment_digit(ink)
    return [Stage("light ink" if light else "dark ink", ink), Stage("digit", found.ink)], found


def _box_in_original(box: Box, offset: Box, factor: int, size: tuple[int, int]) -> Box:
    """Return the box of a digit, with some background around it, in the coordinates of the original picture.

    Args:
        box: of the digit in the reduced and cropped picture.
        offset: how much was cropped from the left and the top, twice.
        factor: by which the picture was reduced.
        size: width and height of the original picture.
    """
    left, top, right, bottom = ((edge + by) * factor for edge, by in zip(box, offset, strict=True))
    margin = round(MARGIN_SHARE * max(right - left, bottom - top))
    width, height = size
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)
