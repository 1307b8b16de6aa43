"""Glyphs that are rare in MNIST, whose writers were American: flagged ones, barred sevens, curled nines and others."""

import torch
from torch import Generator, Tensor

from mnist_edge.training.glyphs import drawn_digits
from mnist_edge.training.strokes import IMAGE_SIDE, draw_lines


def vary_glyphs(images: Tensor, labels: Tensor, share: float, generator: Generator) -> Tensor:
    """Give ones a flag at the top, a foot, or both, and sevens a bar, which are rare in MNIST."""
    chosen = torch.rand(len(images), generator=generator) < share
    ones = (chosen & (labels == 1)).nonzero().flatten()
    sevens = (chosen & (labels == 7)).nonzero().flatten()
    images = images.clone()
    kinds = torch.rand(len(ones), generator=generator)
    for rows, line in (
        (ones[kinds < 0.7], _flags),
        (ones[kinds > 0.5], _feet),
        (sevens, _bars),
    ):
        if len(rows):
            digits = images[rows]
            ends = torch.cat(line(digits, generator), dim=1)[:, None]
            images[rows] = torch.maximum(digits, draw_lines(ends, _half_stroke_width(digits)))
    return images


def replace_by_drawn(images: Tensor, labels: Tensor, share: float, generator: Generator) -> Tensor:
    """Replace a share of the digits by drawn ones of the same label, where that has rare forms (`drawn_digits`)."""
    chosen = torch.rand(len(images), generator=generator) < share
    images = images.clone()
    for digit, drawn in drawn_digits().items():
        rows = (chosen & (labels == digit)).nonzero().flatten()
        images[rows] = drawn[torch.randint(len(drawn), (len(rows),), generator=generator)]
    return images


def _flags(digits: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the ends, `[N, 2]` in pixels (x, y), of a stroke that falls to the left from the top of a one."""
    top = _end_of_stroke(digits)
    length, angle = _uniform_vectors(len(digits), generator, (3, 13), (0.25, 1.15))
    return top, top + torch.stack([-length * torch.cos(angle), length * torch.sin(angle)], dim=1)


def _feet(digits: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the ends of a level stroke under a one."""
    bottom = _end_of_stroke(digits.flip(2)) * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, IMAGE_SIDE])
    left, right, tilt = _uniform_vectors(len(digits), generator, (2, 6), (2, 6), (-1, 1))
    return bottom - torch.stack([left, tilt], dim=1), bottom + torch.stack([right, tilt], dim=1)


def _bars(digits: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the ends of a stroke through the stem of a seven, near its middle or below, level or slanted."""
    height, left, right, tilt = _uniform_vectors(len(digits), generator, (11, 20), (2, 7), (2, 7), (-2, 3))
    rows = digits[torch.arange(len(digits)), 0, height.long()]
    x = (rows @ (torch.arange(IMAGE_SIDE) + 0.5)) / rows.sum(dim=1).clamp(min=1e-6)
    middle = torch.stack([x, height], dim=1)
    return middle - torch.stack([left, -tilt], dim=1), middle + torch.stack([right, -tilt], dim=1)


def _uniform_vectors(count: int, generator: Generator, *ranges: tuple[float, float]) -> list[Tensor]:
    return [torch.empty(count).uniform_(low, high, generator=generator) for low, high in ranges]


def _end_of_stroke(digits: Tensor) -> Tensor:
    """Return (x, y) in pixels, `[N, 2]`, of the middle of the ink in the first row that holds some."""
    ink = digits[:, 0].clamp(min=0)
    first = (ink.amax(dim=2) > 0.3).float().argmax(dim=1)
    row = ink[torch.arange(len(ink)), first]
    x = (row @ (torch.arange(IMAGE_SIDE) + 0.5)) / row.sum(dim=1).clamp(min=1e-6)
    return torch.stack([x, first + 0.5], dim=1)


def _half_stroke_width(digits: Tensor) -> Tensor:
    """Return half the width of each digit's stroke in pixels, `[N]`: ink over length, the length being the height."""
    ink = digits.sum(dim=(1, 2, 3))
    height = (digits.amax(dim=(1, 3)) > 0.3).float().sum(dim=1).clamp(min=1)
    return (ink / height / 2).clamp(0.6, 2.0)
