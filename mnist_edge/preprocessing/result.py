"""The result of preprocessing a picture: the model's input and the stages that led to it."""

from dataclasses import dataclass

import numpy as np

from mnist_edge.types import GrayImage, Images


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage of the preprocessing made of a picture.

    Attributes:
        name: of the stage, for people.
        image: float32 `[height, width]` in [0, 1].
    """

    name: str
    image: GrayImage


@dataclass(frozen=True, eq=False)
class PreprocessingResult:
    """What was seen in a picture.

    Attributes:
        stages: in their order; the image of the last one is what the model is given.
        other_digits: shapes in the picture beside the digit that are about as large; 0 for a picture of one digit.
    """

    stages: tuple[Stage, ...]
    other_digits: int = 0

    @property
    def tensor(self) -> Images:
        """The model's input, float32 `[1, 1, height, width]` in [0, 1]."""
        return self.stages[-1].image[np.newaxis, np.newaxis]
