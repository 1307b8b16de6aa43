"""Any picture of one digit → the tensor of the contract, in steps that can be looked at one by one.

The picture is set upright and made grey (`grey`), its ink is lifted off the ground whatever the light (`ground`), the
digit is told from specks, lines and frames (`digit`), and drawn as MNIST's authors drew theirs (`place`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2.segmentation import Found, find_digit
from mnist_edge.preprocessing.mnist_v2.grayscale import Box, Grey, PictureError, brightness, upright
from mnist_edge.preprocessing.mnist_v2.background import NoDigitError, frame_inside, ink_is_light, levelled, lift_ink
from mnist_edge.preprocessing.mnist_v2.size_normalization import CENTRE, FIELD, centre_of_mass, draw, fills_box, place

__all__ = ["NoDigitError", "PictureError", "Seen", "Step", "prepare", "see", "steps"]

LOOK = 800
"""A picture whose longer side has more pixels is first looked at reduced to at most this many."""

SHARP = 100
"""A digit whose longer side has fewer pixels then is looked at again, from nearer."""

STRONG = 0.9
"""The ink of every digit of MNIST is this strong somewhere."""

MARGIN = 0.5
"""So much ground is taken around it, as a share of its longer side."""


@dataclass(frozen=True)
class Step:
    """What one step made of a picture.

    Attributes:
        name: of the step, for people.
        image: `[height, width]` in [0, 1].
    """

    name: str
    image: Grey


@dataclass(frozen=True)
class Seen:
    """What was seen in a picture.

    Attributes:
        steps: in their order; the last one is what the model is given, 28×28.
        rivals: other parts of the ink as tall as a digit beside this one would be; 0 for a picture of one digit.
    """

    steps: tuple[Step, ...]
    rivals: int = 0

    @property
    def tensor(self) -> NDArray[np.float32]:
        """The model's input, float32 `[1, 1, 28, 28]` in [0, 1], white ink on black."""
        return self.steps[-1].image[np.newaxis, np.newaxis]


def prepare(picture: Image.Image) -> NDArray[np.float32]:
    """Return the model's input, float32 `[1, 1, 28, 28]` in [0, 1], white ink on black, for a picture of one digit.

    A picture that already is as MNIST's are passes unchanged, bit for bit.

    Raises:
        NoDigitError: the picture holds no ink.
        PictureError: its colours can't be understood.
    """
    return see(picture).tensor


def steps(picture: Image.Image) -> tuple[Step, ...]:
    """Return what each step makes of a picture; raises what `prepare` raises."""
    return see(picture).steps


def see(picture: Image.Image) -> Seen:
    """Return what each step makes of a picture, and what is known of its ink; raises what `prepare` raises."""
    picture = upright(picture)
    grey = brightness(picture, limit=LOOK)
    given = Step("brightness", grey)
    for prepared in (grey, 1 - grey):
        if is_prepared(prepared):
            return Seen((given, Step("model input", prepared)))
    rows, columns = frame_inside(grey)
    inside = levelled(grey[rows, columns])
    light = ink_is_light(inside)
    lifted, found = _look(inside, light)
    looks = [given, *lifted]
    factor = -(-max(picture.size) // LOOK)
    if factor > 1 and max(found.box[2] - found.box[0], found.box[3] - found.box[1]) < SHARP:
        offset = (columns.start, rows.start) * 2
        near = _around(found.box, offset, factor, picture.size)
        closer = brightness(picture, near, limit=2 * SHARP)
        lifted, found = _look(levelled(closer), light)
        looks += [Step("from nearer", closer), *lifted]
    drawn = draw(found.ink)
    return Seen((*looks, Step("pen", drawn), Step("model input", place(drawn))), found.rivals)


def is_prepared(grey: Grey) -> bool:
    """Say whether a picture already is as MNIST's are: 28×28, strong light ink in a centred 20×20 box on pure black."""
    if grey.shape != (FIELD, FIELD) or grey[0].any() or grey.max() < STRONG:
        return False
    rows, columns = (np.flatnonzero(grey.any(axis=axis)) for axis in (1, 0))
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    return fills_box(height, width, int(rows[-1]) + 1) and bool(np.abs(centre_of_mass(grey) - CENTRE).max() <= 1)


def _look(grey: Grey, light: bool) -> tuple[list[Step], Found]:
    dark = 1 - grey if light else grey
    ink = lift_ink(dark)
    found = find_digit(ink)
    return [Step("light ink" if light else "dark ink", ink), Step("digit", found.ink)], found


def _around(box: Box, offset: Box, factor: int, size: tuple[int, int]) -> Box:
    """Return the box of a digit that was seen at one `factor`-th of a picture's size, with some ground around it."""
    left, top, right, bottom = ((edge + by) * factor for edge, by in zip(box, offset, strict=True))
    margin = round(MARGIN * max(right - left, bottom - top))
    width, height = size
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)
