"""Glyphs drawn with strokes, as handwriting has them.

A glyph is a text: strokes with commas between them, each the points that it passes, as two digits x and y on a grid of
5 by 7 that begins at the upper left. Each drawing moves the points and draws the strokes angular, or round as
Catmull-Rom splines; a point that is named twice is a corner in both.
"""

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

IMAGE_SIDE = 28
"""Height and width of an image in pixels."""

GLYPH_SIDE = 18.0
"""Greater of height and width that a drawn glyph's points span, in pixels: with its stroke, the 20 of MNIST."""

JITTER = 0.22
"""Standard deviation by which a drawing moves a point, in steps of the grid: as far as letters stay legible."""

ROUND_SHARE = 0.7
"""Share of the drawings whose strokes are round."""

HALF_WIDTHS = (0.7, 1.7)
"""Least and greatest half width of a drawing's stroke in pixels; MNIST's median stroke is 2.3 pixels wide."""

DRAWN_AT_ONCE = 50
"""Drawings in one tensor; glyphs in a row that are alike have about as many lines, and cost least."""

Points = NDArray[np.float64]


def draw_glyphs(glyphs: list[str], rng: Generator) -> Tensor:
    """Return a drawing of each glyph, white on black, float32 `[N, 1, 28, 28]` in [0, 1]."""
    lines = [torch.from_numpy(_segments(glyph, rng)).float() for glyph in glyphs]
    half_width = torch.from_numpy(rng.uniform(*HALF_WIDTHS, len(glyphs))).float()
    parts = [slice(start, start + DRAWN_AT_ONCE) for start in range(0, len(glyphs), DRAWN_AT_ONCE)]
    return torch.cat([draw_lines(_same_length(lines[part]), half_width[part]) for part in parts])


def _same_length(lines: list[Tensor]) -> Tensor:
    """Return drawings' lines, each `[S, 4]`, as one tensor; shorter drawings repeat their last line."""
    longest = max(map(len, lines))
    return torch.stack([torch.cat([line, line[-1:].expand(longest - len(line), 4)]) for line in lines])


def draw_lines(segments: Tensor, half_width: Tensor) -> Tensor:
    """Return images of round-ended lines, antialiased, float32 `[N, 1, 28, 28]` in [0, 1].

    Args:
        segments: the lines of each image, float32 `[N, S, 4]` as x0, y0, x1, y1 in pixels.
        half_width: of each image's lines in pixels, float32 `[N]`.
    """
    axis = torch.arange(IMAGE_SIDE) + 0.5
    x0, y0, x1, y1 = segments[..., None, None].unbind(2)
    dx, dy = axis - x0, axis[:, None] - y0
    squared = ((x1 - x0).square() + (y1 - y0).square()).clamp(min=1e-6)
    projected = dx * ((x1 - x0) / squared) + dy * ((y1 - y0) / squared)  # of each pixel, in lengths of the line
    nearest = projected.clamp(0, 1)
    # |d - nearest·line|², with products over all pixels and lines left out where factors over one axis do
    distance = nearest.sub(projected, alpha=2).mul_(nearest).mul_(squared).add_(dx.square()).add_(dy.square())
    distance = distance.amin(dim=1).clamp_(min=0).sqrt_()
    return (half_width.view(-1, 1, 1) + 0.5 - distance).clamp(0, 1).unsqueeze(1)


def _segments(glyph: str, rng: Generator) -> Points:
    """Return a drawing's straight lines, `[S, 4]` as x0, y0, x1, y1 in pixels, in the middle of the image."""
    strokes = [stroke.split() for stroke in glyph.split(",")]
    names = dict.fromkeys(name for stroke in strokes for name in stroke)  # the same in each process, as a set is not
    moved = {name: np.array([int(name[0]), int(name[1])]) + rng.normal(0, JITTER, 2) for name in names}
    paths = [np.array([moved[name] for name in stroke]) for stroke in strokes]
    if rng.random() < ROUND_SHARE:
        paths = [spline(path) if len(path) > 2 else path for path in paths]
    stretch = np.array([rng.uniform(0.7, 1.3), 1.0])
    points = np.concatenate(paths) * stretch
    low, high = points.min(axis=0), points.max(axis=0)
    scale = GLYPH_SIDE / max(float((high - low).max()), 1e-6)
    placed = [(path * stretch - (low + high) / 2) * scale + IMAGE_SIDE / 2 for path in paths]
    return np.concatenate([np.concatenate([path[:-1], path[1:]], axis=1) for path in placed])


def spline(points: Points, steps: int = 4) -> Points:
    """Return a Catmull-Rom spline through points `[N, 2]`, with `steps` straight lines between two of them."""
    wide = np.concatenate([points[:1], points, points[-1:]])[:, None]
    before, start, end, after = wide[:-3], wide[1:-2], wide[2:-1], wide[3:]
    t = (np.arange(steps) / steps)[:, None]
    bend = 2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before)
    curve = start + t / 2 * (end - before + t * bend)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])
