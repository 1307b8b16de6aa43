"""The runner: pictures in, answers out."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.runtime import image
from mnist_edge.runtime.choice import BUILT_IN
from mnist_edge.runtime.session import open_model


class Status(StrEnum):
    """What became of one picture."""

    OK = "ok"
    NO_DIGIT = "no_digit"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Prediction:
    """The answer to one picture.

    Attributes:
        path: the picture's file.
        status: whether there is an answer.
        digit: the label with the greatest probability, or None without an answer.
        confidence: its probability in [0, 1], or None.
        probabilities: of the digits 0..9, adding up to 1, or empty.
        model: file name of the model.
        message: what was wrong, empty where nothing was.
    """

    path: str
    status: Status
    digit: int | None
    confidence: float | None
    probabilities: tuple[float, ...]
    model: str
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON types; the message is for people and not in it."""
        return {
            "path": self.path,
            "status": self.status.value,
            "digit": self.digit,
            "confidence": self.confidence,
            "probabilities": list(self.probabilities),
            "model": self.model,
        }


class Recognizer:
    """An exported ONNX model and the contract it is run by.

    Each picture is a batch of its own, since the answer of a dynamically quantised model depends on its batch.
    """

    def __init__(self, model: Path = BUILT_IN) -> None:
        """Open the model; without one, the built-in model.

        Raises:
            UserError: the file can't be used; the message says why.
        """
        self.model = open_model(model)

    def predict(self, pictures: Iterable[Path]) -> list[Prediction]:
        """Return the answer to each picture file, in order. A file that can't be read costs only its own answer."""
        return [self._answer(picture) for picture in pictures]

    def _answer(self, picture: Path) -> Prediction:
        try:
            images = image.prepare(image.load(picture))
        except image.PictureError as error:
            return self._failure(picture, Status.UNREADABLE, error)
        except image.NoDigitError as error:
            return self._failure(picture, Status.NO_DIGIT, error)
        probabilities = softmax(self.model.predict(images)[0] / self.model.contract.temperature)
        best = int(probabilities.argmax())
        return Prediction(
            path=str(picture),
            status=Status.OK,
            digit=int(self.model.contract.labels[best]),
            confidence=float(probabilities[best]),
            probabilities=tuple(probabilities.tolist()),
            model=self.model.path.name,
        )

    def _failure(self, picture: Path, status: Status, error: Exception) -> Prediction:
        return Prediction(str(picture), status, None, None, (), self.model.path.name, str(error))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities, float64 `[10]`, of logits `[10]`."""
    scores = np.exp(logits.astype(np.float64) - logits.max())
    probabilities: NDArray[np.float64] = scores / scores.sum()
    return probabilities
