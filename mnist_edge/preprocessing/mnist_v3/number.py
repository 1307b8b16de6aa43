"""Any picture of numbers → the digits in it, in reading order, each as the model's input."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from mnist_edge.preprocessing.mnist_v3.background import (
    crop_border,
    extract_ink,
    flatten_illumination,
    is_light_on_dark,
)
from mnist_edge.preprocessing.mnist_v3.cuts import Cut, between, find_cuts
from mnist_edge.preprocessing.mnist_v3.grayscale import luminance
from mnist_edge.preprocessing.mnist_v3.grouping import Group, group_digits
from mnist_edge.preprocessing.mnist_v3.layout import is_mnist_layout
from mnist_edge.preprocessing.mnist_v3.segmentation import MIN_STROKE_INK, remove_ruled_lines
from mnist_edge.preprocessing.mnist_v3.size_normalization import center_in_input, normalize_size, stroke_width
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.preprocessing.result import DigitGroup, Piece
from mnist_edge.types import Box, GrayImage, Images

MAX_NUMBER_SIDE = 1600
"""Digits are looked for in a picture whose longer side has at most this many pixels: a line is longer than a digit."""

MAX_PIECE_ASPECT = 1.6
"""A piece that is tried as a digit is at most this many times as wide as the ink is high."""

MIN_PIECE_AREA_SHARE = 0.15
"""It has at least this share of the ink that a straight stroke from the top to the bottom has."""


def segment_number(picture: Image.Image) -> tuple[tuple[DigitGroup, ...], ...]:
    """Return the groups of ink that are digits, from left to right in each line, and the lines from top to bottom.

    Raises:
        NoDigitError: the picture holds no ink, or too many pieces of it.
        PictureError: its mode can't be converted to gray.
    """
    picture = apply_exif_orientation(picture)
    gray = luminance(picture, max_side=MAX_NUMBER_SIDE)
    for alone in (gray, 1 - gray):
        if is_mnist_layout(alone):
            return ((_as_mnist_digit(alone),),)
    factor = -(-max(picture.size) // MAX_NUMBER_SIDE)
    rows, columns = crop_border(gray)
    inside = flatten_illumination(gray[rows, columns])
    ink = extract_ink(1 - inside if is_light_on_dark(inside) else inside)
    lines = group_digits(ink, remove_ruled_lines(ink >= MIN_STROKE_INK))
    offset = (columns.start, rows.start)
    return tuple(tuple(_as_digit_group(group, offset, factor, picture.size) for group in line) for line in lines)


def _as_digit_group(group: Group, offset: tuple[int, int], factor: int, size: tuple[int, int]) -> DigitGroup:
    """Return a group with its boxes in the coordinates of the picture, which has a width and a height."""
    width, height = size

    def placed(box: Box) -> Box:
        left, top, right, bottom = ((edge + by) * factor for edge, by in zip(box, offset * 2, strict=True))
        return left, top, min(right, width), min(bottom, height)  # the last pixel may stand for fewer than `factor`

    return DigitGroup(placed(group.box), _as_input(group.ink), lambda: _pieces(group, placed))


def _as_mnist_digit(gray: GrayImage) -> DigitGroup:
    """Return a picture that already is as MNIST's as one group, which the model is given unchanged."""
    box = _ink_box(gray)
    group = Group(box, gray[box[1] : box[3], box[0] : box[2]], box[0], box[1])
    return DigitGroup(box, gray[np.newaxis, np.newaxis], lambda: _pieces(group, lambda placed: placed))


def _ink_box(ink: GrayImage) -> Box:
    """Return the box around all ink; there must be some."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pieces(group: Group, placed: Callable[[Box], Box]) -> list[Piece]:
    """Return what lies between any two places where a group may be cut, unless it is too wide, or next to nothing."""
    height, width = group.ink.shape
    cuts = [None, *find_cuts(group.ink), None]
    columns = [0, *(cut.middle + 1 for cut in cuts if cut), width]
    least = MIN_PIECE_AREA_SHARE * stroke_width(group.ink) * height
    pieces = []
    for stop in range(1, len(cuts)):
        for start in range(stop):
            whole = stop - start == len(cuts) - 1
            if columns[stop] - columns[start] > MAX_PIECE_ASPECT * height and not whole:
                continue
            ink = between(group.ink, cuts[start], cuts[stop])
            if float(ink.sum()) >= least or whole:
                pieces.append(_piece(ink, start, stop, cuts[stop], group, placed))
    return pieces


def _piece(ink: GrayImage, start: int, stop: int, cut: Cut | None, group: Group, placed: Callable[[Box], Box]) -> Piece:
    """Return the ink between two cuts as a piece; `cut` is the one on its right."""
    left, top, right, bottom = _ink_box(ink)
    height = ink.shape[0]
    return Piece(
        start=start,
        stop=stop,
        box=placed((group.left + left, group.top + top, group.left + right, group.top + bottom)),
        tensor=_as_input(ink[top:bottom, left:right]),
        aspect=(right - left) / height,
        height=(bottom - top) / height,
        strokes_cut=cut.strokes if cut else 0.0,
    )


def _as_input(ink: GrayImage) -> Images:
    return center_in_input(normalize_size(ink))[np.newaxis, np.newaxis]
