"""How a picture was read, for people: every step as a sheet of pictures, and the model's 28×28 pixels as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mnist_edge.preprocessing.mnist_v2.grayscale import upright
from mnist_edge.preprocessing.mnist_v2.pipeline import Step, steps

if TYPE_CHECKING:
    from mnist_edge.runtime.recognizer import Prediction

TILE = 224
"""Side of each step's picture on the sheet in pixels: eight times the model's input."""

GAP, CAPTION = 12, 24

_ENOUGH = 4 * TILE
"""A picture with more pixels on its longer side is reduced before anything else is made of it."""

_REDUCIBLE = {"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"}
"""Modes whose pixels Pillow can average."""

PAPER, TEXT, EDGE = "white", "black", "silver"


def explain(picture: Image.Image, prediction: "Prediction | None") -> Image.Image:
    """Return a sheet that shows the picture, what each step made of it, what the model saw, and its answer.

    Raises:
        NoDigitError: the picture holds no ink.
        PictureError: its colours can't be understood.
    """
    shown = upright(picture)
    if max(shown.size) > _ENOUGH:
        shown = (
            shown.reduce(-(-max(shown.size) // _ENOUGH))
            if shown.mode in _REDUCIBLE
            else shown.resize(_size(shown, _ENOUGH), Image.Resampling.NEAREST)
        )
    given = shown.convert("RGBA")
    ground = Image.new("RGBA", given.size, PAPER)
    tiles = [("picture", Image.alpha_composite(ground, given)), *((step.name, _shown(step)) for step in steps(picture))]
    return _sheet(tiles, _answer(prediction))


def preview(tensor: NDArray[np.float32]) -> str:
    """Return the model's input, `[..., 28, 28]` in [0, 1], as 14 lines of 28 characters, two pixels to a character.

    Each character is one of `█▀▄ `: ink where there is more than half of it.
    """
    ink = tensor.reshape(14, 2, 28) > 0.5
    return "\n".join("".join(" ▄▀█"[2 * above + below] for above, below in zip(*pair, strict=True)) for pair in ink)


def _answer(prediction: "Prediction | None") -> str:
    if prediction is None or prediction.digit is None or prediction.confidence is None:
        return ""
    return f"{prediction.digit}  ({prediction.confidence:.1%})"


def _shown(step: Step) -> Image.Image:
    return Image.fromarray((step.image * 255).round().astype(np.uint8))


def _sheet(tiles: Sequence[tuple[str, Image.Image]], answer: str) -> Image.Image:
    """Lay the pictures side by side, each with its name above it and the answer under the last one."""
    font, large = ImageFont.load_default(14), ImageFont.load_default(20)
    size = (GAP + len(tiles) * (TILE + GAP), 2 * GAP + TILE + CAPTION + (CAPTION if answer else 0))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (name, image) in enumerate(tiles):
        left, top = GAP + number * (TILE + GAP), GAP + CAPTION
        draw.text((left, GAP), f"{number}  {name}" if number else name, fill=TEXT, font=font)
        fitted = _fitted(image)
        at = (left + (TILE - fitted.width) // 2, top + (TILE - fitted.height) // 2)
        sheet.paste(fitted, at)
        draw.rectangle((at[0] - 1, at[1] - 1, at[0] + fitted.width, at[1] + fitted.height), outline=EDGE)
    draw.text((size[0] - GAP - TILE, GAP + CAPTION + TILE + 2), answer, fill=TEXT, font=large)
    return sheet


def _fitted(image: Image.Image) -> Image.Image:
    """Scale to a longer side of `TILE` pixels; pixels of small pictures stay squares."""
    enlarged = 2 * max(image.size) < TILE
    resampling = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(_size(image, TILE), resampling)


def _size(image: Image.Image, longer: int) -> tuple[int, int]:
    """Return width and height with a longer side of `longer` pixels and the same proportions."""
    by = longer / max(image.size)
    return max(1, round(image.width * by)), max(1, round(image.height * by))
