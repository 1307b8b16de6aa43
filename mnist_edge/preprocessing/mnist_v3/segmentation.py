"""Separation of the digit from other ink: ruled lines, frames, specks, and what reaches in from the picture's edge."""

from dataclasses import dataclass

import numpy as np

from mnist_edge.preprocessing.mnist_v3.connected_components import Components, label_components, long_runs
from mnist_edge.preprocessing.mnist_v3.quantiles import quantiles
from mnist_edge.types import BoolMask, Box, GrayImage

MIN_STROKE_INK = 0.4
"""Ink at least this strong, where 1 is usual, belongs to a stroke."""

MIN_FRAGMENT_AREA_SHARE = 0.02
"""A component of less than this share of the digit's area is a speck."""

MAX_SPECKS_AREA_SHARE = 0.1
"""Components smaller than this share of one along the picture's edge are specks, and that one is the digit."""

MIN_FILLING_HEIGHT_SHARE = 0.6
"""A digit that fills its picture has at least this share of the picture's height; the corner of a shadow has less."""

MAX_FRAGMENT_DISTANCE_SHARE = 0.15
"""A fragment of the digit is within this share of its longer side; what is further away does not belong to it."""

STACKED_FACTOR = 3
"""A fragment above or below may be this many times as far away, if it has this many times the area of a speck."""

MAX_LINE_THICKNESS_SHARE = 0.04
"""A ruled line is for the most part at most this share of the picture's height thick."""

MAX_SMALL_SIDE = 64
"""In pictures whose longer side has at most this many pixels, strokes are hardly thicker than lines, and kept."""

MAX_LINE_INDENT_SHARE = 0.05
"""A ruled line begins and ends within this share of the picture's width from its edges."""

MIN_DIGIT_INDENT_SHARE = 0.1
"""The digit keeps this share of the picture's width away from both ends of a ruled line."""

MIN_OTHER_HEIGHT_SHARE = 0.5
"""A component beside the digit with at least this share of its height is a digit of its own."""

MIN_OTHER_AREA_SHARE = 0.2
"""The same by area: a one has less ink than an eight, but not five times less."""

MAX_FRAME_HEIGHT_RATIO = 5
"""A frame is at most this many times as tall as something in it; a zero with a small mark in it is not a frame."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The digit in a picture's ink.

    Attributes:
        ink: of the digit alone, float32 in [0, 1], the shape of the picture's ink.
        box: around it.
        other_digits: components beside the digit that are about as large.
    """

    ink: GrayImage
    box: Box
    other_digits: int


def segment_digit(ink: GrayImage) -> Segmentation:
    """Return the digit in a picture's ink, which reaches `MIN_STROKE_INK` somewhere."""
    components = label_components(remove_ruled_lines(ink >= MIN_STROKE_INK))
    frame = enclosing_frame(components)
    eligible = ~(along_border(components) | frame)
    eligible |= filling_digit(components, eligible, frame)
    if not eligible.any():
        eligible[:] = True
    main = int((components.area * eligible).argmax())
    kept = with_fragments(components, main, eligible)
    alone = np.where(binary_dilate(components.mask_of(kept)), ink, np.float32(0))
    left, top = int(components.left[kept].min()), int(components.top[kept].min())
    right, bottom = int(components.right[kept].max()), int(components.bottom[kept].max())
    others = int(other_digits(components, kept, eligible).sum())
    return Segmentation(alone, (left, top, right, bottom), others)


def along_border(components: Components) -> BoolMask:
    """Return which components reach in from the picture's edge, `[count]`.

    They lie along it for more than half of their length; a stroke that only touches the edge does not.
    """
    return components.border_pixels > 0.5 * components.max_side


def filling_digit(components: Components, eligible: BoolMask, frame: BoolMask) -> BoolMask:
    """Return which component is the digit although it lies along the edge, `[count]`: at most one.

    A digit that fills its picture touches the edge along much of its length. Beside what only reaches in, there is a
    digit of some size; where there are only specks, the largest component that is tall enough is the digit.
    """
    tall = components.height >= MIN_FILLING_HEIGHT_SHARE * components.shape[0]
    along_edge = components.area * (tall & ~(eligible | frame))
    largest = int(along_edge.argmax())
    filling = np.zeros_like(eligible)
    filling[largest] = (components.area * eligible).max() < MAX_SPECKS_AREA_SHARE * along_edge[largest]
    return filling


def enclosing_frame(components: Components) -> BoolMask:
    """Return which component is a frame, `[count]`: the largest, if it has corners and something in it."""
    largest = int((components.height * components.width).argmax())
    enclosed = (
        (components.left > components.left[largest])
        & (components.right < components.right[largest])
        & (components.top > components.top[largest])
        & (components.bottom < components.bottom[largest])
    )
    frame = np.arange(len(components)) == largest
    tall_enough = MAX_FRAME_HEIGHT_RATIO * components.height >= components.height[largest]
    if not (enclosed & tall_enough).any():
        return np.zeros_like(frame)
    rows = slice(components.top[largest], components.bottom[largest])
    columns = slice(components.left[largest], components.right[largest])
    shape = components.mask_of(frame)[rows, columns]
    side = max(1, min(shape.shape) // 8)  # a zero, which is round, leaves squares of this size in its corners empty
    corners = (shape[:side, :side], shape[:side, -side:], shape[-side:, :side], shape[-side:, -side:])
    return frame if all(corner.any() for corner in corners) else np.zeros_like(frame)


def with_fragments(components: Components, main: int, eligible: BoolMask) -> BoolMask:
    """Return which components are the digit, `[count]`: the main one, and fragments near to what is the digit already.

    Digits are written side by side: what lies above or below may be further away, and what stands beside the digit and
    is about as tall is not a fragment but another digit.
    """
    kept = np.zeros(len(components), dtype=bool)
    kept[main] = True
    while True:
        left, right = components.left[kept].min(), components.right[kept].max()
        top, bottom = components.top[kept].min(), components.bottom[kept].max()
        area = components.area[kept].sum()
        reach = MAX_FRAGMENT_DISTANCE_SHARE * max(bottom - top, right - left)
        across = np.maximum(components.left - right, left - components.right)
        down = np.maximum(components.top - bottom, top - components.bottom)
        close = (across < reach) & (down < reach) & (components.area >= MIN_FRAGMENT_AREA_SHARE * area)
        large = components.area >= STACKED_FACTOR * MIN_FRAGMENT_AREA_SHARE * area
        stacked = (across < 0) & (down < STACKED_FACTOR * reach) & large
        another = (across >= 0) & (components.height >= MIN_OTHER_HEIGHT_SHARE * (bottom - top))
        more = eligible & (close | stacked) & ~another & ~kept
        if not more.any():
            return kept
        kept |= more


def other_digits(components: Components, kept: BoolMask, eligible: BoolMask) -> BoolMask:
    """Return which components, `[count]`, do not belong to the digit but are about as large."""
    tall = MIN_OTHER_HEIGHT_SHARE * (components.bottom[kept].max() - components.top[kept].min())
    heavy = MIN_OTHER_AREA_SHARE * components.area[kept].sum()
    found: BoolMask = eligible & ~kept & (components.height >= tall) & (components.area >= heavy)
    return found


def remove_ruled_lines(mask: BoolMask) -> BoolMask:
    """Remove ruled lines, across and down, unless they may be strokes: the digit must lie well inside them.

    Lines of both directions are looked for before either is judged: in squared paper, those across hold the digit
    together with those down.
    """
    (across, whole_across), (turned, whole_turned) = ruled_lines(mask), ruled_lines(mask.T)
    down, crossings = turned.T, whole_across & whole_turned.T
    lines = across | down | crossings
    if not lines.any():
        return mask
    components = label_components(mask & ~lines)
    if not len(components):
        return mask
    main = int(components.area.argmax())
    height, width = mask.shape
    inside_across = _well_inside(components.left[main], components.right[main], width)
    inside_down = _well_inside(components.top[main], components.bottom[main], height)
    return mask & ~(across & inside_across | down & inside_down | crossings & (inside_across and inside_down))


def _well_inside(start: np.int64, stop: np.int64, length: int) -> bool:
    """Return whether a digit keeps away from both ends of a ruled line."""
    indent = MIN_DIGIT_INDENT_SHARE * length
    return bool(start >= indent and length - stop >= indent)


def ruled_lines(mask: BoolMask) -> tuple[BoolMask, BoolMask]:
    """Return the pixels of thin lines that run from the left edge to the right one, level or a few degrees off it.

    Returned twice: without what crosses them, and with it.

    The mask is first dilated by a pixel, which joins the steps that a tilted line has, and closes its gaps. What is
    more than twice as thick as the line is for the most part belongs to a stroke that crosses or touches it.
    """
    height, width = mask.shape
    if max(height, width) <= MAX_SMALL_SIDE:
        return np.zeros_like(mask), np.zeros_like(mask)
    edge = max(1, int(MAX_LINE_INDENT_SHARE * width))
    if not (mask[:, :edge].any() and mask[:, -edge:].any()):
        return np.zeros_like(mask), np.zeros_like(mask)
    # Long enough to leave most strokes out, short enough for the steps of a tilted line.
    components = label_components(long_runs(binary_dilate(mask), max(8, width // 12)))
    lines, whole = np.zeros_like(mask), np.zeros_like(mask)
    for label in np.flatnonzero((components.left < edge) & (components.right > width - edge)):
        line = components.mask_of(np.arange(len(components)) == label)
        # The lower quartile is where no stroke lies along the line; the dilation added 2 pixels.
        thickness = quantiles(line.sum(axis=0), 0.25)[0] - 2
        if thickness <= MAX_LINE_THICKNESS_SHARE * height:
            whole |= line & mask
            lines |= line & mask & ~long_runs(mask.T, int(2 * thickness) + 3).T
    return lines, whole


def binary_dilate(mask: BoolMask) -> BoolMask:
    """Return the mask with all eight neighbors of its pixels, where the edge of a stroke fades out."""
    wider = mask.copy()
    for axis in (0, 1):
        rows, source = np.moveaxis(wider, axis, 0), np.moveaxis(wider.copy(), axis, 0)
        rows[1:] |= source[:-1]
        rows[:-1] |= source[1:]
    return wider
