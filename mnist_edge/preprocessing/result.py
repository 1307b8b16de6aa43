"""The result of preprocessing a picture: the model's input and the stages that led to it, or the digits of a number."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mnist_edge.types import AnyArray, Box, Images, Pixels, TensorSpec


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage of the preprocessing made of a picture.

    Attributes:
        name: of the stage, for people.
        image: float32 `[height, width]`, or of a color picture `[height, width, 3]`, in [0, 1].
    """

    name: str
    image: Pixels = field(repr=False)


@dataclass(frozen=True, eq=False)
class PreprocessingResult:
    """What was seen in a picture.

    Attributes:
        stages: in their order; the image of the last one is what the model is given.
        other_digits: shapes in the picture beside the digit that are about as large; 0 for a picture of one digit.
        sixteen_bits: whether whole numbers of more than 8 bits were taken for 16 bits as they are, and not stretched
            to their own range.
    """

    stages: tuple[Stage, ...]
    other_digits: int = 0
    sixteen_bits: bool = False

    @property
    def tensor(self) -> Images:
        """The model's input, float32 `[1, channels, height, width]` in [0, 1]."""
        image = self.stages[-1].image
        channels = image[np.newaxis] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))
        return channels[np.newaxis]


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of the ink of a group, between two places where that may be cut.

    Attributes:
        start, stop: numbers of the cuts on its left and right; the sides of the group are the first and the last.
        box: around it, in the pixels of the picture.
        tensor: the model's input, float32 `[1, 1, height, width]` in [0, 1].
        aspect: its width as a share of the group's height.
        height: its height as a share of the group's.
        strokes_cut: ink that the cut on its right goes through, in stroke widths; 0 at the group's side.
    """

    start: int
    stop: int
    box: Box
    tensor: Images
    aspect: float
    height: float
    strokes_cut: float


@dataclass(frozen=True, eq=False)
class DigitGroup:
    """Ink in a picture that is one digit, or several that touch.

    Attributes:
        box: around it, in the pixels of the picture.
        tensor: the model's input if it is one digit, float32 `[1, 1, height, width]` in [0, 1].
        pieces: returns the pieces that may be a digit each, by where they stop; one of them is the whole group.
    """

    box: Box
    tensor: Images
    pieces: Callable[[], list[Piece]]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """A version of the preprocessing, for one input.

    Attributes:
        output: what it gives.
        preprocess: a picture → what each stage makes of it, the last one as `output` says; raises `NoDigitError` where
            the picture holds no ink, and `PictureError` where its mode can't be converted.
        as_model_input: an array → itself as a batch of one where it already is as `output` says, else None.
        segment_number: finds the digits of a number, where the version can; raises as `preprocess` does.
    """

    output: TensorSpec
    preprocess: Callable[[Image.Image], PreprocessingResult]
    as_model_input: Callable[[AnyArray], Images | None]
    segment_number: Callable[[Image.Image], tuple[tuple[DigitGroup, ...], ...]] | None
