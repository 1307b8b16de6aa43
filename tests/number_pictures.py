"""Lines of MNIST digits as pictures: spaced or touching, of any size and slant, on paper and boards, in any light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import GrayImage

GAPS = {"wide": (8, 16), "normal": (3, 7), "tight": (1, 2), "touching": (-3, -1)}
"""Least and greatest number of pixels between the boxes of two digits, whose longer sides are 20."""

MARGIN = 12
"""Pixels of paper around a line."""


@dataclass(frozen=True, eq=False)
class Line:
    """A picture of a number, and what it says."""

    picture: Image.Image
    text: str


def crop(image: GrayImage) -> GrayImage:
    """Return the ink of a digit without the black around it."""
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def line_ink(digits: list[GrayImage], gaps: tuple[int, int], generator: np.random.Generator) -> GrayImage:
    """Return digits side by side, each a pixel higher or lower than the last, white on black."""
    width = 2 * MARGIN + sum(digit.shape[1] + max(gaps) for digit in digits)
    ink = np.zeros((20 + 2 * MARGIN, width), dtype=np.float32)
    left = right = MARGIN
    for number, digit in enumerate(digits):
        left = right + (int(generator.integers(gaps[0], gaps[1] + 1)) if number else 0)
        top = MARGIN + (20 - digit.shape[0]) // 2 + int(generator.integers(-1, 2))
        right = left + digit.shape[1]
        field = ink[top : top + digit.shape[0], left:right]
        np.maximum(field, digit, out=field)
    return ink[:, : right + MARGIN]


def draw_line(images: Split, kind: str, generator: np.random.Generator, *, photographed: bool) -> Line:
    """Return two to six digits as a clean drawing, or as a photograph of a line."""
    chosen = generator.integers(0, len(images), int(generator.integers(2, 7)))
    digits = [crop(images.images[index, 0].numpy()) for index in chosen]
    ink = line_ink(digits, GAPS[kind], generator)
    text = "".join(str(int(images.labels[index])) for index in chosen)
    return Line(photograph(ink, generator) if photographed else _as_picture(1 - ink), text)


def photograph(ink: GrayImage, generator: np.random.Generator) -> Image.Image:
    """Return ink larger, slanted, on paper or a board, with grain and uneven light."""
    by, slant = float(generator.uniform(1.5, 6)), float(generator.uniform(-0.25, 0.25))
    size = (int(ink.shape[1] * by), int(ink.shape[0] * by))
    large = _as_picture(ink).resize(size, Image.Resampling.BICUBIC)
    extra = int(abs(slant) * large.height)
    matrix = (1, slant, -extra if slant > 0 else 0, 0, 1, 0)
    sheared = large.transform(
        (large.width + extra, large.height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    strokes = np.asarray(sheared, dtype=np.float32) / 255
    paper, pen = float(generator.uniform(0.6, 1)), float(generator.uniform(0, 0.35))
    light = 1 - float(generator.uniform(0, 0.3)) * np.linspace(0, 1, strokes.shape[1])
    gray = (paper * (1 - strokes) + pen * strokes) * light + generator.normal(0, 0.015, strokes.shape)
    return _as_picture(1 - gray if generator.random() < 0.25 else gray)


def _as_picture(gray: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray((np.clip(gray, 0, 1) * 255).round().astype(np.uint8))
