"""Digits in forms that are rare in MNIST, letters and shapes, written as `mnist_edge.training.strokes` draws them.

They are drawn once in a process, with random numbers of their own, so that they are always the same.
"""

import functools

from numpy.random import Generator, default_rng
from torch import Tensor

from mnist_edge.training.strokes import draw_glyphs

DRAWN = 4_000
"""How many digits, and how many outliers, are drawn; the augmentation makes them differ further."""

SCRIBBLED = 0.2
"""Share of scribbles among the drawn outliers."""

RARE_DIGITS: dict[int, tuple[str, ...]] = {
    1: (
        "03 20 20 26",
        "02 30 30 36",
        "04 20 20 26",
        "05 20 20 26",
        "05 30 30 46",
        "13 20 26",
        "03 20 20 26,16 36",
        "02 20 20 26,06 46",
        "05 30 30 36,16 46",
    ),
    2: (
        "01 20 41 32 05 06 15 26 46",
        "01 20 41 33 16 05 14 25 46",
        "00 30 42 16 05 15 46 46",
        "22 02 10 30 41 34 05 06 15 46",
        "32 12 01 20 41 33 05 16 46",
    ),
    4: ("10 03 03 43,31 36", "00 03 03 43,40 46", "20 04 04 44,33 36", "10 03 43,40 26", "00 02 13 42,40 43 36"),
    6: ("30 11 03 05 16 35 34 23 03", "40 10 03 15 26 45 43 13", "20 02 05 26 44 33 13"),
    7: (
        "00 40 40 26,13 43",
        "00 40 40 16,14 34",
        "01 00 40 40 16,03 33",
        "00 40 40 26,12 44",
        "02 00 00 40 40 26",
        "00 40 40 16,04 43",
        "02 10 21 40 40 26,13 43",
        "03 10 22 40 40 25,14 44",
        "02 00 11 40 40 26",
    ),
    9: (
        "41 20 02 13 41 41 45 26 05",
        "41 10 02 23 41 44 36 15 04",
        "40 10 02 33 40 43 26 06 05",
        "40 10 01 13 32 40 43 45 26 05 04",
        "41 20 01 12 32 40 34 35 16 05 14",
        "41 20 02 23 41 26",
    ),
}
"""Flagged ones, looped twos, open fours, sixes with an upright back, barred and hooked sevens, curled nines."""

LETTERS: tuple[str, ...] = (
    "06 20 20 46,14 34",
    "41 20 02 04 26 45",
    "40 00 00 06 06 46,03 33",
    "40 00 00 06,03 33",
    "00 06,40 46,03 43",
    "10 40,30 35 16 04",
    "00 06,40 03 03 46",
    "00 06 06 46",
    "06 00 00 23 23 40 40 46",
    "06 00 00 46 46 40",
    "06 00 30 42 33 03",
    "06 00 30 42 33 03 03 46",
    "00 40,20 26",
    "00 04 16 36 44 40",
    "00 26 26 40",
    "00 16 16 22 22 36 36 40",
    "00 46,40 06",
    "00 23 23 40,23 26",
    "42 22 04 16 36 43 42 42 46",
    "43 22 04 16 46",
    "43 22 04 16 36 43,40 46",
    "04 44 32 13 05 26 46",
    "40 20 12 16,03 33",
    "00 06 04 23 43 46",
    "32 35 26 05,30 30",
    "00 06,42 04 04 46",
    "06 02 12 24 26 26 24 32 44 46",
    "06 02 04 22 42 46",
    "06 02 22 43 35 05",
    "02 06 04 22 42",
    "10 15 26 36,02 32",
    "02 05 26 44 42 42 46",
    "02 26 26 42",
    "02 15 15 23 23 35 35 42",
    "02 46,42 06",
)
"""A C E F H J K L M N P R T U V W X Y a c d e f h j k m n p r t u v w x; those that are also digits are missing."""

SHAPES: tuple[str, ...] = (
    "01 41 41 45 45 05 05 01 01",
    "20 46 46 06 06 20 20",
    "20 43 43 26 26 03 03 20 20",
    "00 46,40 06",
    "23 20,23 46,23 06,23 43,23 03",
    "03 43,20 26",
    "03 43 43 32,43 34",
    "20 26 26 05,26 45",
    "26 02 11 22 31 42 26",
    "03 10 22 35 43",
    "06 10 16 20 26 30 36 40",
    "01 41,05 45",
    "00 06,10 16,30 36,40 46",
    "01 41 01 02 42 02 04 44",
    "23 24 14 12 32 35 05 01 41 46",
    "26 20 20 03,20 43",
    "20 12 02 14 06 25 46 34 42 32 20",
    "01 41,03 43,05 45,11 15,31 35",
    "06 00 00 40 40 46",
    "04 13 04,23 24,43 44",
    "00 40 40 06 06 46 46 00",
    "03 21 43,24 26",
    "02 12 12 06,12 42,32 36",
    "42 00 00 23 23 06 06 46",
    "20 43 16 02",
)
"""Boxes, crosses, arrows, hearts, waves, hatches, a spiral, stars, signs of mathematics."""


@functools.cache
def drawn_digits() -> dict[int, Tensor]:
    """Return drawings of each digit that has rare forms, float32 `[N, 1, 28, 28]` in [0, 1], by the digit."""
    rng = default_rng(0)
    each = DRAWN // len(RARE_DIGITS)
    return {digit: draw_glyphs(_repeat(forms, each), rng) for digit, forms in RARE_DIGITS.items()}


@functools.cache
def drawn_outliers() -> Tensor:
    """Return drawings of letters, shapes and scribbles, float32 `[N, 1, 28, 28]` in [0, 1]."""
    rng = default_rng(1)
    letters_and_shapes = _repeat(LETTERS + SHAPES, round(DRAWN * (1 - SCRIBBLED)))
    return draw_glyphs(letters_and_shapes + [_scribble(rng) for _ in range(round(DRAWN * SCRIBBLED))], rng)


def _scribble(rng: Generator) -> str:
    """Return a stroke through random points, or three or four short ones: so many that they hardly ever are a digit."""
    lengths = [int(rng.integers(8, 13))] if rng.random() < 0.6 else rng.integers(2, 4, int(rng.integers(3, 5))).tolist()
    return ",".join(" ".join(f"{rng.integers(5)}{rng.integers(7)}" for _ in range(length)) for length in lengths)


def _repeat(glyphs: tuple[str, ...], count: int) -> list[str]:
    """Return each glyph as often as the others, `count` in all or a few less."""
    return [glyph for glyph in glyphs for _ in range(count // len(glyphs))]
