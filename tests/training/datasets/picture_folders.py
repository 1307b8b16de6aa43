"""Folders of pictures as users bring them."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

COLORS = {"Grün": (0, 200, 0), "blau": (0, 0, 200), "rot": (200, 0, 0)}
"""Labels, sorted by code point, and the color of their pictures."""


def write_digits(folder: Path) -> Path:
    """Write scikit-learn's 1,797 digits as PNG files of 8×8 pixels, in ten folders."""
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        target = folder / str(label) / f"{number:04}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(target)
    return folder


def write_colors(folder: Path, count: int = 20, side: int = 12) -> Path:
    """Write noisy pictures of one color each, in a folder for each label; their modes and formats differ."""
    rng = np.random.default_rng(0)
    for label, color in COLORS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 56, (side, side + number % 3, 3))
            picture = Image.fromarray((noise + color).astype(np.uint8))
            kind = (".png", ".jpg", ".gif", ".bmp")[number % 4]
            picture.save(folder / label / f"{number}{kind}")
    return folder
