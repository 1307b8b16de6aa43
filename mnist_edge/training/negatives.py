"""Pictures that hold no digit, drawn to measure how many of them are answered as if they held one.

None of them is trained or calibrated on. The letters come from fonts that Pillow and matplotlib bring along, while the
outliers of a training (`mnist_edge.training.outliers`) are drawn with strokes of their own.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mnist_edge.training.strokes import spline

SIDE = 160
"""Height and width of a picture in pixels."""

FONTS = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono"),
    *("STIXGeneral", "STIXGeneralItalic", "cmtt10"),
)
"""Fonts of matplotlib's, beside the one that Pillow has."""

LETTERS = "ACEFHJKLMNPRTUVWXYacdefhjkmnprtuvwx"
"""Letters that are not also a digit in somebody's hand, as O, l, S, Z, B, g, q, b and y are."""

SYMBOLS = "+=√∑∫∞≠≤≥πΩ♥★☺✓→↑%&@#$€?!×÷¶§∂∇∈∩∪ΔΨΦΓΛΞλμβδθ"

Point = tuple[float, float]


def negatives(seed: int = 0) -> Iterator[tuple[str, Image.Image]]:
    """Yield kinds and pictures, grayscale, dark on light; the same seed gives the same pictures."""
    rng = default_rng(seed)
    for kind, (count, draw) in KINDS.items():
        for number in range(count):
            yield kind, draw(rng, number)


def _letter(rng: Generator, number: int) -> Image.Image:
    font = number // len(LETTERS) % (len(FONTS) + 1)
    return _write(LETTERS[number % len(LETTERS)], font, rng)


def _symbol(rng: Generator, number: int) -> Image.Image:
    return _write(SYMBOLS[number % len(SYMBOLS)], (0, 2)[number // len(SYMBOLS) % 2], rng)


def _word(rng: Generator, number: int) -> Image.Image:
    letters = rng.choice(list(LETTERS), rng.integers(2, 5))
    return _write("".join(letters), number % (len(FONTS) + 1), rng)


def _write(text: str, font: int, rng: Generator) -> Image.Image:
    """Return a text in the middle, slightly rotated."""
    picture = Image.new("L", (SIDE, SIDE), 255)
    size = int(rng.integers(60, 100)) * (2 if len(text) < 2 else 1) // 2
    ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), text, 0, _font(font, size), anchor="mm")
    return picture.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR, fillcolor=255)


def _font(index: int, size: int) -> ImageFont.FreeTypeFont:
    if index == len(FONTS):
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{FONTS[index]}.ttf", size)


def _shape(rng: Generator, number: int) -> Image.Image:
    """Return an outline or a filled shape, turned and stretched."""
    corners = _SHAPES[number % len(_SHAPES)]
    width, height = rng.uniform(30, 60, 2)
    angle = rng.uniform(-0.3, 0.3)
    paths = [
        [
            (
                SIDE / 2 + width * x * math.cos(angle) - height * y * math.sin(angle),
                SIDE / 2 + width * x * math.sin(angle) + height * y * math.cos(angle),
            )
            for x, y in path
        ]
        for path in corners
    ]
    picture = _strokes(paths, int(rng.integers(4, 14)))
    if number % 5 == 4:
        ImageDraw.Draw(picture).polygon(paths[0], fill=0)
    return picture


def _ring(count: int, inner: float = 1.0, turns: float = 1.0) -> list[Point]:
    """Return a closed polygon, or a star whose every other corner is at `inner`, or a spiral for other `turns`."""
    steps = int(count * turns)
    radius = [(inner if step % 2 else 1.0) * (1 if turns == 1 else (step + 1) / steps) for step in range(steps + 1)]
    angles = [2 * math.pi * step / count - math.pi / 2 for step in range(steps + 1)]
    return [(r * math.cos(angle), r * math.sin(angle)) for r, angle in zip(radius, angles, strict=True)]


_SQUARE: list[Point] = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
_SHAPES: tuple[list[list[Point]], ...] = (
    [_SQUARE],
    [_ring(3)],
    [[(-1, -1), (1, 1)], [(1, -1), (-1, 1)]],
    [_ring(10, 0.45)],
    [[(-1, 0), (1, 0), (0.4, -0.5)], [(1, 0), (0.4, 0.5)]],
    [_ring(16, turns=2.5)],
    [_SQUARE, [(-1, 0), (1, 0)], [(0, -1), (0, 1)]],
    [_ring(4)],
    [[(-1, 0.8), (-0.5, -0.8), (0, 0.8), (0.5, -0.8), (1, 0.8)]],
    [_ring(4), [(-1, 0), (1, 0)], [(0, -1), (0, 1)]],
    [[(-1, 1), (-1, 0), (0, -1), (1, 0), (1, 1), (-1, 1)], [(-0.3, 1), (-0.3, 0.3), (0.3, 0.3), (0.3, 1)]],
    [_ring(6), [(-0.5, 0), (0.5, 0)]],
)
"""Paths in [-1, 1]: square, triangle, cross, star, arrow, spiral, window, diamond, zigzag, wheel, house, hexagon."""


def _scribble(rng: Generator, _: int) -> Image.Image:
    """Return a curve through random points."""
    knots = rng.uniform(25, SIDE - 25, (int(rng.integers(6, 14)), 2))
    return _strokes([[(float(x), float(y)) for x, y in spline(knots, 40)]], int(rng.integers(4, 10)))


def _strokes(paths: list[list[Point]], width: int) -> Image.Image:
    picture = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(picture)
    for path in paths:
        draw.line(path, 0, width, joint="curve")
    return picture


def _texture(rng: Generator, number: int) -> Image.Image:
    """Return noise, coarse or fine, blurred or not, stripes, or a checkerboard."""
    kind, period = number % 4, float(rng.uniform(8, 40))
    y, x = np.mgrid[:SIDE, :SIDE]
    if kind < 2:
        cells = int(rng.integers(5, 40))
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
        return noise.resize((SIDE, SIDE), (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)[kind])
    across, along = (np.sin(2 * math.pi * axis / period + rng.uniform(0, 6)) for axis in (x + y * rng.normal(), y))
    wave = across if kind == 2 else across * along
    picture = Image.fromarray(np.where(wave > 0, 255, 20).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(2))


KINDS: dict[str, tuple[int, Callable[[Generator, int], Image.Image]]] = {
    "letters": (len(LETTERS) * (len(FONTS) + 1), _letter),
    "words": (120, _word),
    "symbols": (2 * len(SYMBOLS), _symbol),
    "shapes": (120, _shape),
    "scribbles": (120, _scribble),
    "textures": (120, _texture),
}
"""How many there are of each kind, and how one is drawn, given its number."""
