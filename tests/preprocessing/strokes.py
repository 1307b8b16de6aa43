"""Digits drawn as strokes, of any size and stroke width, on any background: pictures for tests, free of rights."""

import numpy as np
from PIL import Image, ImageDraw

from mnist_edge.types import GrayImage

Points = list[tuple[float, float]]


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    """Return points of an ellipse's arc; angles in degrees, clockwise from the right, as on a screen."""
    angles = np.radians(np.linspace(start, stop, 25))
    return [(x + rx * float(np.cos(angle)), y + ry * float(np.sin(angle))) for angle in angles]


STROKES: dict[int, list[Points]] = {
    0: [_arc(0.5, 0.5, 0.32, 0.5, 0, 360)],
    1: [[(0.55, 0.0), (0.45, 1.0)]],
    2: [[*_arc(0.5, 0.28, 0.35, 0.28, 190, 380), (0.15, 1.0), (0.9, 1.0)]],
    3: [[*_arc(0.45, 0.25, 0.35, 0.25, 200, 450), *_arc(0.45, 0.74, 0.4, 0.26, 270, 510)]],
    4: [[(0.5, 0.0), (0.1, 0.62), (0.95, 0.62)], [(0.72, 0.3), (0.66, 1.0)]],
    5: [[(0.85, 0.0), (0.25, 0.0), (0.2, 0.45), *_arc(0.45, 0.68, 0.4, 0.31, 240, 500)]],
    6: [[(0.65, 0.0), (0.3, 0.4), *_arc(0.5, 0.7, 0.32, 0.3, 200, 560)]],
    7: [[(0.1, 0.03), (0.9, 0.03), (0.35, 1.0)]],
    8: [_arc(0.5, 0.26, 0.28, 0.25, 90, 450), _arc(0.5, 0.75, 0.34, 0.25, 270, 630)],
    9: [[*_arc(0.5, 0.28, 0.32, 0.28, 0, 360), (0.7, 1.0)]],
}
"""The strokes of each digit in the unit square."""


def ink(digit: int, size: tuple[int, int], box: tuple[float, float, float, float], pen: float) -> GrayImage:
    """Return a digit's ink, `[height, width]` in [0, 1], antialiased, in a picture of `size` (width, height).

    `box` is (left, top, width, height) and `pen` the stroke's width, all in pixels.
    """
    fine = 4
    picture = Image.new("L", (size[0] * fine, size[1] * fine))
    draw = ImageDraw.Draw(picture)
    left, top, width, height = box
    radius = pen * fine / 2
    for stroke in STROKES[digit]:
        points = [((left + x * width) * fine, (top + y * height) * fine) for x, y in stroke]
        draw.line(points, fill=255, width=max(1, round(2 * radius)), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    values: GrayImage = np.asarray(picture.reduce(fine)).astype(np.float32) / np.float32(255)
    return values


def picture_of(
    ground: GrayImage | float, ink: GrayImage, strength: float = 0.7, noise: float = 0.0, *, light: bool = False
) -> Image.Image:
    """Return a gray picture of dark ink on a background of this brightness, or of its negative."""
    grain = np.random.default_rng(0).normal(0, 1, ink.shape) * noise
    gray = np.clip(ground * (1 - strength * ink) + grain, 0, 1)
    return Image.fromarray(((1 - gray if light else gray) * 255).round().astype(np.uint8))


def gradient(size: tuple[int, int], low: float, high: float) -> GrayImage:
    """Return a background that gets brighter from left to right."""
    return np.broadcast_to(np.linspace(low, high, size[0], dtype=np.float32), (size[1], size[0])).copy()


def ruled(size: tuple[int, int], spacing: int, slope: float = 0.0, width: int = 2) -> GrayImage:
    """Return the ink of ruled lines."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    lines: GrayImage = (((rows + slope * columns) % spacing) < width).astype(np.float32)
    return lines


def boxed(size: tuple[int, int], margin: int, width: int) -> GrayImage:
    """Return the ink of a rectangular frame, `margin` pixels from the edge."""
    frame = np.zeros((size[1], size[0]), dtype=np.float32)
    frame[margin : size[1] - margin, margin : size[0] - margin] = 1
    inner = margin + width
    frame[inner : size[1] - inner, inner : size[0] - inner] = 0
    return frame


def scattered() -> Image.Image:
    """Return a picture of faint specks, each just near enough to those before it to be a fragment of one digit."""
    pixels = np.full((800, 800), 255, np.uint8)
    pixels[0, 100:700:50] = 0  # along the edge: they are no digit, but set how strong ink is
    pixels[range(20, 27), range(20, 27)] = 140
    right = 27
    while (at := right + int(np.ceil(0.15 * (right - 20))) - 1) <= 780:
        pixels[at, at] = 140
        right = at + 1
    return Image.fromarray(pixels)
