"""Which ink is the digit: ruled lines, frames, specks and what only reaches in from the edge are left out."""

from dataclasses import dataclass

import numpy as np

from mnist_edge.preprocessing.mnist_v2.grayscale import Box, Grey
from mnist_edge.preprocessing.mnist_v2.connected_components import Mask, Parts, find_parts, long_runs
from mnist_edge.preprocessing.mnist_v2.quantiles import quantiles

THRESHOLD = 0.4
"""Ink at least this strong, where 1 is usual, belongs to a stroke."""

SPECK = 0.02
"""A part of less than this share of the digit's area is a speck."""

CLOSE = 0.15
"""A fragment of the digit is within this share of its longer side; what is further off is none."""

STACKED = 3
"""A fragment above or below may be so many times as far off, if it has as many times the area of a speck."""

THIN = 0.025
"""A ruled line is mostly at most this share of the picture's height thick."""

AT_EDGE = 0.05
"""It begins and ends within this share of the picture's width from its edges."""

INSIDE = 0.1
"""The digit keeps this share of the picture's width away from both ends of a ruled line."""

RIVAL = 0.5
"""A part beside the digit that is this share of its height, at least, is a digit of its own."""


@dataclass(frozen=True)
class Found:
    """The digit in a picture's ink.

    Attributes:
        ink: of the digit alone, the shape of the picture's.
        box: around it.
        rivals: other parts that are as tall as a digit beside this one would be.
    """

    ink: Grey
    box: Box
    rivals: int


def find_digit(ink: Grey) -> Found:
    """Return the digit in a picture's ink, which reaches `THRESHOLD` somewhere."""
    parts = find_parts(without_lines(ink >= THRESHOLD))
    eligible = ~(from_outside(parts) | around_others(parts))
    if not eligible.any():
        eligible[:] = True
    main = int((parts.area * eligible).argmax())
    kept = fragments(parts, main, eligible)
    alone = np.where(widened(parts.paint(kept)), ink, np.float32(0))
    left, top = int(parts.left[kept].min()), int(parts.top[kept].min())
    right, bottom = int(parts.right[kept].max()), int(parts.bottom[kept].max())
    return Found(alone, (left, top, right, bottom), int(rivals(parts, kept, eligible).sum()))


def from_outside(parts: Parts) -> Mask:
    """Return which parts reach in from the edge of the picture, `[count]`: they lie along it for half their length."""
    return parts.contact > 0.5 * parts.longer


def around_others(parts: Parts) -> Mask:
    """Return which parts are frames, `[count]`: the widest, where it has corners and encloses a part of some size."""
    widest = int((parts.height * parts.width).argmax())
    enclosed = (
        (parts.left > parts.left[widest])
        & (parts.right < parts.right[widest])
        & (parts.top > parts.top[widest])
        & (parts.bottom < parts.bottom[widest])
    )
    frames = np.arange(len(parts)) == widest
    if not (enclosed & (5 * parts.height >= parts.height[widest])).any():
        return np.zeros_like(frames)
    rows, columns = slice(parts.top[widest], parts.bottom[widest]), slice(parts.left[widest], parts.right[widest])
    shape = parts.paint(frames)[rows, columns]
    side = max(1, min(shape.shape) // 8)
    corners = (shape[:side, :side], shape[:side, -side:], shape[-side:, :side], shape[-side:, -side:])
    return frames if all(corner.any() for corner in corners) else np.zeros_like(frames)


def fragments(parts: Parts, main: int, eligible: Mask) -> Mask:
    """Return which parts are the digit, `[count]`: the main one, and fragments near to what is the digit already.

    Digits are written side by side: what lies above or below may be further off, and what stands beside the digit and
    is about as tall is no fragment but another digit.
    """
    kept = np.zeros(len(parts), dtype=bool)
    kept[main] = True
    while True:
        left, right = parts.left[kept].min(), parts.right[kept].max()
        top, bottom = parts.top[kept].min(), parts.bottom[kept].max()
        area, reach = parts.area[kept].sum(), CLOSE * max(bottom - top, right - left)
        across = np.maximum(parts.left - right, left - parts.right)
        down = np.maximum(parts.top - bottom, top - parts.bottom)
        close = (across < reach) & (down < reach) & (parts.area >= SPECK * area)
        stacked = (across < 0) & (down < STACKED * reach) & (parts.area >= STACKED * SPECK * area)
        another = (across >= 0) & (parts.height >= RIVAL * (bottom - top))
        more = eligible & (close | stacked) & ~another & ~kept
        if not more.any():
            return kept
        kept |= more


def rivals(parts: Parts, kept: Mask, eligible: Mask) -> Mask:
    """Return which parts, `[count]`, are no part of the digit but about as large."""
    tall = RIVAL * (parts.bottom[kept].max() - parts.top[kept].min())
    heavy = 0.2 * parts.area[kept].sum()
    found: Mask = eligible & ~kept & (parts.height >= tall) & (parts.area >= heavy)
    return found


def without_lines(mask: Mask) -> Mask:
    """Remove ruled lines, across and down, unless they may be strokes: the digit lies well inside them."""
    for turned in (False, True):
        seen = mask.T if turned else mask
        lines = ruled_lines(seen)
        if not lines.any():
            continue
        rest = seen & ~lines
        parts = find_parts(rest)
        if len(parts):
            main = int(parts.area.argmax())
            width = rest.shape[1]
            if parts.left[main] >= INSIDE * width and width - parts.right[main] >= INSIDE * width:
                mask = rest.T if turned else rest
    return mask


def ruled_lines(mask: Mask) -> Mask:
    """Return the pixels of thin lines that run from the left edge to the right one, level or a few degrees off it.

    The mask is first widened by a pixel, which joins the steps that a tilted line has, and closes its gaps. What is
    more than twice as thick as a line mostly is belongs to a stroke that crosses or touches it.
    """
    height, width = mask.shape
    edge = max(1, int(AT_EDGE * width))
    if not (mask[:, :edge].any() and mask[:, -edge:].any()):
        return np.zeros_like(mask)
    parts = find_parts(long_runs(widened(mask), max(8, width // 12)))
    lines = np.zeros_like(mask)
    for part in np.flatnonzero((parts.left < edge) & (parts.right > width - edge)):
        painted = parts.paint(np.arange(len(parts)) == part)
        thickness = quantiles(painted.sum(axis=0), 0.25)[0] - 2  # where no stroke lies along it
        if thickness <= THIN * height:
            lines |= painted & mask & ~long_runs(mask.T, int(2 * thickness) + 3).T
    return lines


def widened(mask: Mask) -> Mask:
    """Return the mask with all neighbours of its pixels, where the edge of a stroke fades out."""
    wider = mask.copy()
    for axis in (0, 1):
        rows, source = np.moveaxis(wider, axis, 0), np.moveaxis(wider.copy(), axis, 0)
        rows[1:] |= source[:-1]
        rows[:-1] |= source[1:]
    return wider
