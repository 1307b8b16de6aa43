"""Label-preserving changes to batches of images: of any kind, or of handwritten digits of 28×28 pixels.

The latter are other hands, other pens, other glyphs.

Affine and elastic distortions follow Simard, Steinkraus and Platt, *Best practices for convolutional neural networks
applied to visual document analysis* (2003). torchvision's v2 transforms draw one distortion for a whole batch; here
every image gets its own, at the cost of about one training step.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Generator, Tensor

from mnist_edge.artifact.fields import expect_fields, take_number
from mnist_edge.training.glyph_variants import replace_by_drawn, vary_glyphs
from mnist_edge.training.placement import place
from mnist_edge.training.strokes import IMAGE_SIDE

KNOTS_PER_SIDE = 6
"""The elastic field is drawn on 6×6 knots and interpolated: bends of about five pixels."""

OF_ANY_IMAGES = ("translate", "mirror")
"""The changes that suit images of any kind and size; the others are for handwriting, white on black, 28×28."""

OF_DIGITS = ("glyph_variants", "drawn_digits")
"""The changes that know the ten digits."""

SHARES = (*OF_ANY_IMAGES, "stroke_jitter", "blur", "binarize", "fracture", "glyph_variants", "drawn_digits")
"""The changes whose value is a share, at most 1."""


@dataclass(frozen=True)
class Augmentation:
    """How far each change may go; at 0 a change is off. Draws are uniform in ± the value unless said otherwise.

    Attributes:
        rotation: degrees.
        shear: horizontal shift per unit of height.
        scale: natural logarithm of the factor, drawn separately for width and height.
        shift: pixels, from the center of mass.
        elastic: standard deviation of the displacement at each knot, in pixels.
        stroke_jitter: strokes are thickened or thinned by up to this share of a pixel's step to each side, in [0, 1].
        blur: greatest share of a 3×3 mean that is mixed in, in [0, 1]; half of the images stay sharp.
        gamma: natural logarithm of the exponent put on the brightness.
        binarize: greatest share of a binarized version that is mixed in, in [0, 1]; two thirds stay soft.
        fracture: share of the images in which patches of the ink fade.
        glyph_variants: share of the ones that get a flag, a foot or both, and of the sevens that get a bar.
        drawn_digits: share of the digits that are replaced by one drawn in a form that is rare in MNIST.
        translate: greatest move of the whole image along each side, as a share of that, in whole pixels.
        mirror: share of the images that are mirrored left to right.
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    stroke_jitter: float = 0.0
    blur: float = 0.0
    gamma: float = 0.0
    binarize: float = 0.0
    fracture: float = 0.0
    glyph_variants: float = 0.0
    drawn_digits: float = 0.0
    translate: float = 0.0
    mirror: float = 0.0

    @property
    def of_handwriting(self) -> bool:
        """Whether some change is for handwriting alone."""
        return any(value for name, value in dataclasses.asdict(self).items() if name not in OF_ANY_IMAGES)

    def times(self, strength: float) -> "Augmentation":
        """Return the changes at another strength, at least 0; shares stay at most 1."""
        scaled = {name: strength * value for name, value in dataclasses.asdict(self).items()}
        return Augmentation(**{name: min(value, 1.0) if name in SHARES else value for name, value in scaled.items()})

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Augmentation":
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        names = [change.name for change in dataclasses.fields(cls)]
        expect_fields(names, fields)
        return cls(**{name: take_number(fields, name, 0, 1 if name in SHARES else math.inf) for name in names})


def augment(images: Tensor, labels: Tensor, by: Augmentation, generator: Generator) -> Tensor:
    """Return changed copies of images, float32 `[N, channels, height, width]` in [0, 1], with labels int64 `[N]`.

    Where the changes are of handwriting, the images are `[N, 1, 28, 28]`. The result has the same shape, type and
    range, and depends on the generator's state alone. With everything off it is the images themselves.
    """
    if by == Augmentation():
        return images
    if by.translate or by.mirror:
        images = place(images, by.translate, by.mirror, generator)
    if not by.of_handwriting:
        return images
    draw = functools.partial(_uniform, len(images), generator)
    if by.glyph_variants:
        images = vary_glyphs(images, labels, by.glyph_variants, generator)
    if by.drawn_digits:
        images = replace_by_drawn(images, labels, by.drawn_digits, generator)
    images = _distort(images, by, generator)
    return _restroke(images, by, draw, generator)


def _uniform(count: int, generator: Generator, low: float, high: float) -> Tensor:
    return torch.empty(count, 1, 1, 1).uniform_(low, high, generator=generator)


def _distort(images: Tensor, by: Augmentation, generator: Generator) -> Tensor:
    """Apply an affine and an elastic distortion of its own to each image, about its center of mass.

    Both are linear in fixed fields over the pixels (the coordinates, one, and a bicubic bump for each knot), so one
    matrix product gives all sampling positions.
    """
    count = len(images)
    fields = _fields()
    limits = torch.tensor([math.radians(by.rotation), by.shear, *2 * [2 * by.shift / IMAGE_SIDE], *2 * [by.scale]])
    drawn = torch.empty(6, count).uniform_(-1, 1, generator=generator) * limits[:, None]
    angle, shear, shift_x, shift_y, log_x, log_y = drawn
    cos, sin, scale_x, scale_y = torch.cos(angle), torch.sin(angle), torch.exp(log_x), torch.exp(log_y)
    weights = torch.empty(count, 2, fields.shape[0])
    weights[:, 0, 0] = cos * scale_x
    weights[:, 0, 1] = (cos * shear - sin) * scale_y
    weights[:, 1, 0] = sin * scale_x
    weights[:, 1, 1] = (sin * shear + cos) * scale_y
    weights[:, :, 2] = _normalized_center_of_mass(images) + torch.stack([shift_x, shift_y], dim=1)
    knots = torch.randn(count, 2, KNOTS_PER_SIDE * KNOTS_PER_SIDE, generator=generator)
    weights[:, :, 3:] = knots * (2 * by.elastic / IMAGE_SIDE)
    positions = (weights @ fields).transpose(1, 2).reshape(count, IMAGE_SIDE, IMAGE_SIDE, 2)
    return F.grid_sample(images, positions, mode="bilinear", padding_mode="zeros", align_corners=False)


@functools.cache
def _fields() -> Tensor:
    """Return the fields x, y, 1 and the knots' bumps over the pixels, float32 `[3 + 36, 784]`; x and y in [-1, 1]."""
    axis = (torch.arange(IMAGE_SIDE) + 0.5) / IMAGE_SIDE * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    bumps = F.interpolate(
        torch.eye(KNOTS_PER_SIDE * KNOTS_PER_SIDE).view(-1, 1, KNOTS_PER_SIDE, KNOTS_PER_SIDE),
        size=IMAGE_SIDE,
        mode="bicubic",
        align_corners=True,
    )
    return torch.cat([x.reshape(1, -1), y.reshape(1, -1), torch.ones(1, IMAGE_SIDE * IMAGE_SIDE), bumps.flatten(1)])


def _normalized_center_of_mass(images: Tensor) -> Tensor:
    """Return (x, y) of each image's center of mass, float32 `[N, 2]` in [-1, 1]."""
    flat = images.flatten(1)
    return (flat @ _fields()[:2].T) / flat.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _restroke(images: Tensor, by: Augmentation, draw: functools.partial[Tensor], generator: Generator) -> Tensor:
    """Change the pen: stroke width, softness, contrast, fractures. The brightest ink stays, or becomes, 1."""
    if by.stroke_jitter:
        amount = draw(-by.stroke_jitter, by.stroke_jitter)
        images = images + amount.clamp(min=0) * (dilate(images) - images)
        images = images - 0.6 * (-amount).clamp(min=0) * (images + dilate(-images))  # thin strokes must not vanish
    if by.blur:
        images = torch.lerp(images, _box_mean(images), draw(-by.blur, by.blur).clamp(min=0))
    if by.gamma:
        images = images.clamp(1e-6, 1) ** torch.exp(draw(-by.gamma, by.gamma))
    if by.binarize:
        images = torch.lerp(
            images, torch.sigmoid(15 * (images - 0.45)), draw(-2 * by.binarize, by.binarize).clamp(min=0)
        )
    if by.fracture:
        images = images * _fracture_patches(len(images), by.fracture, generator)
    return (images / images.amax(dim=(2, 3), keepdim=True).clamp(min=0.3)).clamp(0, 1)


def dilate(images: Tensor) -> Tensor:
    """Return the greatest of each pixel and its eight neighbours; ten times faster than `max_pool2d` on a CPU."""
    wide = F.pad(images, (1, 1, 1, 1), value=-1.0)
    rows = torch.maximum(torch.maximum(wide[..., :-2], wide[..., 1:-1]), wide[..., 2:])
    return torch.maximum(torch.maximum(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])


def _box_mean(images: Tensor) -> Tensor:
    """Return the mean of each pixel and its eight neighbours, with black beyond the edge."""
    wide = F.pad(images, (1, 1, 1, 1))
    rows = wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]
    return (rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]) / 9


def _fracture_patches(count: int, share: float, generator: Generator) -> Tensor:
    """Return factors `[N, 1, 28, 28]`: 1, but for a `share` of the images, in which patches go down to 0.2."""
    fades = torch.rand(count, 1, generator=generator) < share
    level = torch.randn(count, KNOTS_PER_SIDE * KNOTS_PER_SIDE, generator=generator) @ _fields()[3:]
    return torch.where(fades & (level < -0.9), 0.2, 1.0).view(count, 1, IMAGE_SIDE, IMAGE_SIDE)
