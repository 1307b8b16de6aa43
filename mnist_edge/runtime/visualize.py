"""How a picture was read, for people: every stage on a sheet of pictures, and the model's input as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mnist_edge.preprocessing.mnist_v3.grayscale import HIGH_BIT_DEPTH_MODES, luminance
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.preprocessing.resize_v1.pipeline import preprocess
from mnist_edge.text import printable, shorten
from mnist_edge.types import TensorSpec

if TYPE_CHECKING:
    from mnist_edge.runtime.prediction import Prediction
    from mnist_edge.runtime.recognizer import Inspection
    from mnist_edge.types import GrayImage, Images, Pixels

TILE_SIDE = 224
"""Side of each stage's picture on the sheet in pixels: eight times the side of a 28×28 input."""

GAP, CAPTION_HEIGHT = 12, 24
"""Pixels between tiles, and of a line of text."""

MAX_SHOWN_SIDE = 4 * TILE_SIDE
"""A picture with more pixels on its longer side is reduced before it is converted."""

REDUCIBLE_MODES = {"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"}
"""Modes whose pixels Pillow can average."""

MAX_LABEL_LENGTH = 24
"""Characters of a label on the sheet, whose last column is no wider."""

PAPER_COLOR, TEXT_COLOR, EDGE_COLOR = "white", "black", "silver"


def visualize(inspection: "Inspection") -> Image.Image:
    """Return a sheet that shows a picture, what each stage made of it, what the model was given, and the answer.

    Raises:
        ValueError: the picture could not be read, or holds no digit.
    """
    if inspection.picture is None or inspection.preprocessing is None:
        raise ValueError(f"there are no stages to draw: {inspection.prediction.message}")
    shown = on_paper(inspection.picture, sixteen_bits=inspection.preprocessing.sixteen_bits)
    stages = [(stage.name, _as_picture(stage.image)) for stage in inspection.preprocessing.stages]
    return _sheet([("picture", shown), *stages], _answer(inspection.prediction))


def preview(tensor: "Images | GrayImage") -> str:
    """Return a model input, `[..., height, width]` in [0, 1], as lines of text, two rows of pixels to a line.

    Each character is one of `█▀▄ `: ink where there is more than half of it. An odd number of rows is filled up with
    an empty one.
    """
    height, width = tensor.shape[-2:]
    ink = np.zeros((-(-height // 2) * 2, width), dtype=np.bool_)
    ink[:height] = tensor.reshape(-1, height, width).mean(axis=0) > 0.5
    pairs = ink.reshape(-1, 2, width)
    return "\n".join("".join(" ▄▀█"[2 * above + below] for above, below in zip(*pair, strict=True)) for pair in pairs)


def _answer(prediction: "Prediction") -> str:
    if prediction.label is None or prediction.confidence is None:
        return ""
    return f"{shorten(printable(prediction.label), MAX_LABEL_LENGTH)}  ({prediction.confidence:.1%})"


def on_paper(picture: Image.Image, *, sixteen_bits: bool = False) -> Image.Image:
    """Return the picture upright, not larger than needed, with its transparent parts laid over white.

    Of high bit depth, it is drawn as it is read: with `sixteen_bits` as by `preprocessing.resize_v1`, which takes 16
    bits as they are, else as by `preprocessing.mnist_v3`, which stretches them to their own range.
    """
    shown = apply_exif_orientation(picture)
    if shown.mode in HIGH_BIT_DEPTH_MODES:  # of which Pillow would clip what is more than 255
        if sixteen_bits:
            width, height = _size(shown, min(MAX_SHOWN_SIDE, max(shown.size)))
            read = preprocess(TensorSpec("image", (1, height, width)), picture).stages[-1].image
        else:
            read = luminance(shown, max_side=MAX_SHOWN_SIDE)
        shown = _as_picture(read)
    if max(shown.size) > MAX_SHOWN_SIDE:
        shown = (
            shown.reduce(-(-max(shown.size) // MAX_SHOWN_SIDE))
            if shown.mode in REDUCIBLE_MODES
            else shown.resize(_size(shown, MAX_SHOWN_SIDE), Image.Resampling.NEAREST)
        )
    layer = shown.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, PAPER_COLOR), layer)


def _as_picture(values: "Pixels") -> Image.Image:
    return Image.fromarray((values * 255).round().astype(np.uint8))


def _sheet(tiles: Sequence[tuple[str, Image.Image]], answer: str) -> Image.Image:
    """Lay the pictures side by side, each with its name above it and the answer under the last one."""
    font, large = ImageFont.load_default(14), ImageFont.load_default(20)
    height = 2 * GAP + TILE_SIDE + CAPTION_HEIGHT + (CAPTION_HEIGHT if answer else 0)
    width = GAP + len(tiles) * (TILE_SIDE + GAP)
    sheet = Image.new("RGB", (width, height), PAPER_COLOR)
    draw = ImageDraw.Draw(sheet)
    for number, (name, image) in enumerate(tiles):
        left, top = GAP + number * (TILE_SIDE + GAP), GAP + CAPTION_HEIGHT
        draw.text((left, GAP), f"{number}  {name}" if number else name, fill=TEXT_COLOR, font=font)
        tile = _tile(image)
        at = (left + (TILE_SIDE - tile.width) // 2, top + (TILE_SIDE - tile.height) // 2)
        sheet.paste(tile, at)
        draw.rectangle((at[0] - 1, at[1] - 1, at[0] + tile.width, at[1] + tile.height), outline=EDGE_COLOR)
    below = (width - GAP - TILE_SIDE, GAP + CAPTION_HEIGHT + TILE_SIDE + 2)
    draw.text(below, answer, fill=TEXT_COLOR, font=large)
    return sheet


def _tile(image: Image.Image) -> Image.Image:
    """Scale to a longer side of `TILE_SIDE` pixels; pixels of small pictures stay squares."""
    enlarged = 2 * max(image.size) < TILE_SIDE
    resampling = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(_size(image, TILE_SIDE), resampling)


def _size(image: Image.Image, longer: int) -> tuple[int, int]:
    """Return width and height with a longer side of `longer` pixels and the same proportions."""
    by = longer / max(image.size)
    return max(1, round(image.width * by)), max(1, round(image.height * by))
