"""Images of handwriting and patterns that are not a digit, which a training keeps the model from calling one.

Outlier exposure: Hendrycks, Mazeika and Dietterich, *Deep anomaly detection with outlier exposure* (2019).
"""

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Generator, Tensor

from mnist_edge.training.augment import KNOTS_PER_SIDE
from mnist_edge.training.glyphs import drawn_outliers
from mnist_edge.training.strokes import IMAGE_SIDE

NOT_A_DIGIT = -1
"""The label of an outlier."""

DRAWN_SHARE = 0.6
"""Share of letters and shapes among the outliers; the others are made from the digits, or patterns."""

TURNED = (2, 3, 4, 5, 7)
"""Digits that are not a digit when they lie on a side."""


def draw_outliers(images: Tensor, labels: Tensor, count: int, generator: Generator) -> Tensor:
    """Return outliers, float32 `[count, 1, 28, 28]` in [0, 1], white on black.

    Args:
        images: two digits or more that some are made from, float32 `[N, 1, 28, 28]` in [0, 1].
        labels: of the digits, int64 `[N]`.
        count: how many.
        generator: all that is drawn is drawn from it.
    """
    drawn = drawn_outliers()
    letters = round(count * DRAWN_SHARE)
    makers = (_pairs, _overlays, _turned, _halves, _blobs, _noise)
    sizes = [(count - letters + place) // len(makers) for place in range(len(makers))]  # they add up to the rest
    made = [make(images, labels, size, generator) for make, size in zip(makers, sizes, strict=True)]
    return torch.cat([drawn[_choose(len(drawn), letters, generator)], *made])


def exposure_loss(logits: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of outliers' logits, float32 `[N, labels]`, to the uniform distribution."""
    return -F.log_softmax(logits, dim=1).mean()


def _choose(total: int, count: int, generator: Generator) -> Tensor:
    return torch.randint(total, (count,), generator=generator)


def _two(images: Tensor, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return pairs of different images."""
    first = _choose(len(images), count, generator)
    second = (first + 1 + _choose(len(images) - 1, count, generator)) % len(images)
    return images[first], images[second]


def _pairs(images: Tensor, _: Tensor, count: int, generator: Generator) -> Tensor:
    """Return two digits side by side, at half their width."""
    narrow = [F.avg_pool2d(digit, (1, 2))[..., 1:-1] for digit in _two(images, count, generator)]
    return F.pad(torch.cat(narrow, dim=3), (2, 2))


def _overlays(images: Tensor, _: Tensor, count: int, generator: Generator) -> Tensor:
    """Return a digit over another that lies on its side."""
    upright, other = _two(images, count, generator)
    return torch.maximum(upright, torch.rot90(other, 1, (2, 3)))


def _turned(images: Tensor, labels: Tensor, count: int, generator: Generator) -> Tensor:
    """Return digits that lie on a side; noise where there are none that can."""
    rows = torch.isin(labels, torch.tensor(TURNED)).nonzero().flatten()
    if not len(rows):
        return _noise(images, labels, count, generator)
    chosen = images[rows[_choose(len(rows), count, generator)]]
    return torch.cat([torch.rot90(part, turn, (2, 3)) for part, turn in zip(chosen.chunk(2), (1, -1), strict=False)])


def _halves(images: Tensor, _: Tensor, count: int, generator: Generator) -> Tensor:
    """Return the upper half of a digit over the upper half of another, upside down."""
    upper, lower = _two(images, count, generator)
    half = IMAGE_SIDE // 2
    return torch.cat([upper[:, :, :half], lower[:, :, :half].flip(2)], dim=2)


def _blobs(_: Tensor, __: Tensor, count: int, generator: Generator) -> Tensor:
    knots = torch.randn(count, 1, KNOTS_PER_SIDE, KNOTS_PER_SIDE, generator=generator)
    level = F.interpolate(knots, size=IMAGE_SIDE, mode="bicubic", align_corners=True)
    return torch.sigmoid(8 * (level - 0.3))


def _noise(_: Tensor, __: Tensor, count: int, generator: Generator) -> Tensor:
    """Return noise in grays, and in black and white."""
    drawn = torch.rand(count, 1, IMAGE_SIDE, IMAGE_SIDE, generator=generator)
    gray = torch.arange(count).view(-1, 1, 1, 1) % 2 == 0
    return torch.where(gray, drawn, (drawn > 0.6).float())
