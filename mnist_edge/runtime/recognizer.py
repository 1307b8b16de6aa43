"""The runner: pictures in, answers out."""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2 import pipeline as image
from mnist_edge.preprocessing.array_input import as_input, from_array
from mnist_edge.runtime.builtin_models import BUILT_IN, BUILT_INS
from mnist_edge.preprocessing.decode import decode, load
from mnist_edge.preprocessing.mnist_v2.size_normalization import FIELD
from mnist_edge.runtime.prediction import Prediction, Status, score
from mnist_edge.preprocessing.bounded_read import MAX_FILE
from mnist_edge.formats.onnx.runner import Model, load_model, open_model

__all__ = ["Prediction", "Recognizer", "Source", "Status"]

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any]
"""A picture: path, content of a file, file object, Pillow image, or array (see `mnist_edge.preprocessing.array_input`)."""

AnySource = TypeVar("AnySource", bound=Source)

_OK = Status.OK  # an attribute of an enumeration costs more than a global name


class Recognizer:
    """An exported ONNX model and the contract it is run by.

    Each picture is a batch of its own, since the answer of a dynamically quantised model depends on its batch.

    Any number of threads may use one recognizer at once. It can be pickled, with the model in it, so that
    multiprocessing, Ray or Spark can send it to other processes and machines.
    """

    def __init__(self, model: str | os.PathLike[str] = BUILT_IN, *, min_confidence: float | None = None) -> None:
        """Open a model.

        Args:
            model: an exported ONNX file, or the name of a built-in model, `mlp` or `cnn`.
            min_confidence: an answer with less confidence, in [0, 1], is `uncertain`; None leaves that to what was
                calibrated with the model.

        Raises:
            UserError: the file can't be used; the message says why.
            ValueError: `min_confidence` is outside [0, 1].
        """
        self._prepare(open_model(BUILT_INS.get(os.fspath(model), Path(model))), min_confidence)

    def _prepare(self, model: Model, min_confidence: float | None) -> None:
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}, expected a number in [0, 1]")
        self.model = model
        self.min_confidence = min_confidence
        self._run, self._name = model.predict, model.path.name
        self._temperature, self._certainty = model.contract.temperature, model.contract.certainty
        self._digits = [int(label) for label in model.contract.labels]

    @classmethod
    def _restore(cls, path: Path, data: bytes, min_confidence: float | None) -> Self:
        recognizer = cls.__new__(cls)
        recognizer._prepare(load_model(path, data), min_confidence)
        return recognizer

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model's bytes, which its session can be made of again."""
        return type(self)._restore, (self.model.path, self.model.data, self.min_confidence)

    @overload
    def predict(self, pictures: Source) -> Prediction: ...
    @overload
    def predict(self, pictures: list[AnySource] | tuple[AnySource, ...]) -> list[Prediction]: ...
    def predict(self, pictures: Source | list[AnySource] | tuple[AnySource, ...]) -> Prediction | list[Prediction]:
        """Return the answer to a picture, or a list with the answer to each of a list or tuple of pictures, in order.

        A picture that can't be read costs only its own answer, whose status says so.

        Raises:
            TypeError: something is no picture at all.
            ValueError: an array has a shape, dtype or range that is no picture's.
        """
        if isinstance(pictures, (list, tuple)):
            return [self._answer(picture) for picture in pictures]
        return self._answer(pictures)

    def stream(self, pictures: Iterable[Source]) -> Iterator[Prediction]:
        """Yield the answer to each picture as soon as it is known, in order; otherwise as `predict`."""
        return map(self._answer, pictures)

    def _answer(self, picture: Source) -> Prediction:
        try:
            images, rivals = _input(picture)
        except image.PictureError as error:
            return self._failure(picture, Status.UNREADABLE, error)
        except image.NoDigitError as error:
            return self._failure(picture, Status.NO_DIGIT, error)
        best, probabilities, evidence = score(self._run(images)[0].tolist(), self._temperature)
        confidence = probabilities[best]
        if self.min_confidence is None:
            sure = evidence >= self._certainty and not rivals
        else:
            sure = confidence >= self.min_confidence
        return Prediction(
            _path(picture),
            _OK if sure else Status.UNCERTAIN,
            self._digits[best],
            confidence,
            probabilities,
            self._name,
        )

    def _failure(self, picture: Source, status: Status, error: Exception) -> Prediction:
        return Prediction(_path(picture), status, None, None, (), self._name, str(error))


def _input(picture: Source) -> tuple[NDArray[np.float32], int]:
    """Return a picture as the model's input, float32 `[1, 1, 28, 28]`, and what rivals its digit has."""
    if isinstance(picture, np.ndarray):
        images = as_input(picture)
    else:
        picture = open_picture(picture)
        images = as_input(np.asarray(picture)) if _like_mnist(picture) else None
    if images is not None:
        return images, 0
    seen = image.see(open_picture(picture))
    return seen.tensor, seen.rivals


def _like_mnist(picture: Image.Image) -> bool:
    """Say whether a picture may be one of MNIST's, which need no preparation."""
    return picture.size == (FIELD, FIELD) and picture.mode == "L" and not picture.info


def open_picture(picture: Source) -> Image.Image:
    """Return a picture that came in any form as a Pillow image.

    Raises:
        PictureError: it can't be read.
        TypeError: it is no picture at all.
        ValueError: an array has a shape, dtype or range that is no picture's.
    """
    match picture:
        case str() | os.PathLike():
            return load(picture)
        case bytes() | bytearray() | memoryview():
            return decode(bytes(picture))
        case Image.Image():
            return picture
        case np.ndarray():
            return from_array(picture)
    if isinstance(picture, io.TextIOBase):
        raise TypeError("the file is open as text, expected mode 'rb'")
    if not hasattr(picture, "read"):
        raise TypeError(
            f"{type(picture).__name__} is no picture: expected a path, bytes, binary file, Pillow image or array"
        )
    data = picture.read(MAX_FILE + 1)
    if not isinstance(data, bytes):
        raise TypeError("the file is open as text, expected mode 'rb'")
    return decode(data)


def _path(picture: object) -> str | None:
    """Return the path of a picture that was given as one."""
    if isinstance(picture, (np.ndarray, bytes)) or not isinstance(picture, (str, os.PathLike)):
        return None  # the first test spares arrays the second, which is slow
    return os.fspath(picture)
