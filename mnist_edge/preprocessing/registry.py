"""The versions of the preprocessing by the key that a contract names; importing the registry imports none of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from mnist_edge.preprocessing.result import DigitGroup, PreprocessingResult
    from mnist_edge.types import AnyArray, Images, TensorSpec

    SegmentNumber = Callable[[Image.Image], tuple[tuple[DigitGroup, ...], ...]]

PREPROCESSINGS: dict[str, str] = {"mnist/3": "mnist_edge.preprocessing.mnist_v3"}
"""The package of each version. A version never changes: one that gives other numbers gets a key of its own."""


class Preprocessing(Protocol):
    """What the package of a version offers."""

    @property
    def OUTPUT(self) -> "TensorSpec":  # noqa: N802 - a constant of the package
        """What it gives."""

    def preprocess(self, picture: "Image.Image") -> "PreprocessingResult":
        """Return what each stage makes of a picture; the last one is as `OUTPUT` says.

        Raises:
            NoDigitError: the picture holds no ink.
            PictureError: its mode can't be converted.
        """

    def as_model_input(self, array: "AnyArray") -> "Images | None":
        """Return an array unchanged as a batch of one, where it already is as `OUTPUT` says; else None."""

    @property
    def segment_number(self) -> "SegmentNumber | None":
        """Finds the digits of a number, where the version can; raises as `preprocess` does."""


def load_preprocessing(key: str) -> Preprocessing:
    """Import the version of this key.

    Raises:
        UserError: there is none.
    """
    if key not in PREPROCESSINGS:
        raise UserError(f"there is no preprocessing {key!r}: expected one of {', '.join(PREPROCESSINGS)}")
    return cast("Preprocessing", import_module(PREPROCESSINGS[key]))
