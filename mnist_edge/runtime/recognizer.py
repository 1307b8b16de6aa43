"""Pictures in, answers out: preprocessing and an artifact's runner, as the artifact's contract joins them."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import numpy as np
from PIL import Image

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Task
from mnist_edge.errors import ArtifactError, NoDigitError, PictureError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.registry import FORMATS, open_artifact, read_artifact
from mnist_edge.formats.runner import Runner, at_batch_one
from mnist_edge.preprocessing.guard import TOO_MUCH_MEMORY
from mnist_edge.preprocessing.registry import PREPROCESSINGS, load_preprocessing
from mnist_edge.preprocessing.result import Preprocessing, PreprocessingResult
from mnist_edge.runtime.arrays import as_batch, as_stage, prepared
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL, DEFAULT_NUMBER_MODEL, model_path
from mnist_edge.runtime.pictures import Source, open_picture, path_of
from mnist_edge.runtime.prediction import Prediction, Scored, Status, digits_of, score
from mnist_edge.types import Images

if TYPE_CHECKING:
    from mnist_edge.runtime.number import Number

__all__ = ["Inspection", "Prediction", "Recognizer", "Source", "Status"]

AnySource = TypeVar("AnySource", bound=Source)

# What one picture may cost beside its own answer: nothing. Pillow's errors all come as `PictureError`, since a guard
# stands around each of its calls (`preprocessing.guard`), and memory may run out anywhere. Any other exception between
# opening a picture and the tensor is a bug in this package: it keeps its traceback, so that tests and users see it.
_PICTURE_FAILURES = (PictureError, NoDigitError, MemoryError)

_ONE_PICTURE = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)

_OK = Status.OK  # an attribute of an enumeration costs more than a global name


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was seen in one picture.

    Attributes:
        picture: as it was decoded, or None where it can't be read.
        preprocessing: what each stage made of it, or None where it can't be read or holds no digit.
        prediction: the answer.
    """

    picture: Image.Image | None
    preprocessing: PreprocessingResult | None
    prediction: Prediction


class Recognizer:
    """An exported artifact of any format, open, with the preprocessing that its contract asks for.

    Each picture is a batch of its own, since the answer of a dynamically quantized model depends on its batch.

    Any number of threads may use one recognizer at once. It can be pickled, with the artifact in it, so that
    multiprocessing, Ray or Spark can send it to other processes and machines.

    Attributes:
        artifact: the file as it was read.
        runner: the same, open in its own runtime.
        min_confidence: as it was given.
    """

    artifact: ArtifactFile
    runner: Runner
    min_confidence: float | None

    def __init__(self, model: str | os.PathLike[str] | None = None, *, min_confidence: float | None = None) -> None:
        """Open a model.

        Args:
            model: an exported artifact, or the name of a built-in model, `mlp` or `cnn`; None for `mlp`, and for `cnn`
                where numbers are read.
            min_confidence: an answer with less confidence, in [0, 1], is `uncertain`; None leaves that to what was
                calibrated with the model.

        Raises:
            UserError: the artifact can't be used; the message says why.
            ValueError: `min_confidence` is outside [0, 1].
        """
        chosen = DEFAULT_MODEL if model is None else model_path(model)
        self._open(read_artifact(chosen), min_confidence, named=model is not None)

    def _open(self, artifact: ArtifactFile, min_confidence: float | None, *, named: bool) -> None:
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}, expected a number in [0, 1]")
        self.artifact, self.runner, self.min_confidence = artifact, open_artifact(artifact), min_confidence
        self._named = named
        self._for_numbers: Recognizer | None = None
        contract = self.runner.contract
        try:
            preprocessing = _preprocessing_for(contract.task)
        except UserError as error:
            self.runner.close()
            raise UserError(f"cannot use {artifact.path}: {error}") from error
        self._preprocess, self._as_model_input = preprocessing.preprocess, preprocessing.as_model_input
        self._segment_number = preprocessing.segment_number
        self._input_shape = contract.task.input.shape
        self._predict = at_batch_one(self.runner.predict, contract.batch)
        self._name = artifact.path.name
        self._temperature = contract.temperature
        self._energy_threshold, self._margin_threshold = contract.energy_threshold, contract.margin_threshold
        self._least_energy = contract.energy_threshold or -inf  # a threshold of 0 is none, and an energy may be below
        self._labels, self._digits = contract.task.labels, digits_of(contract.task.labels)

    @classmethod
    def from_artifact(cls, artifact: ArtifactFile, min_confidence: float | None = None, *, named: bool = True) -> Self:
        """Open an artifact that was read already, with the same bytes whatever its path holds by now.

        Args:
            artifact: what was read.
            min_confidence: as the constructor has it.
            named: whether `read` uses this artifact, and not the built-in CNN.

        Raises:
            UserError: the artifact can't be used; the message says why.
            ValueError: `min_confidence` is outside [0, 1].
        """
        recognizer = cls.__new__(cls)
        recognizer._open(artifact, min_confidence, named=named)
        return recognizer

    @classmethod
    def _restore(cls, path: Path, format: str, bundle: Bundle, min_confidence: float | None, named: bool) -> Self:
        return cls.from_artifact(ArtifactFile(path, FORMATS[format], bundle), min_confidence, named=named)

    def __repr__(self) -> str:
        """Name the model."""
        limit = "" if self.min_confidence is None else f", min_confidence={self.min_confidence!r}"
        return f"{type(self).__name__}({os.fspath(self.artifact.path)!r}{limit})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the artifact's bytes, from which its runner can be opened again."""
        artifact = self.artifact
        held = (artifact.path, artifact.spec.name, artifact.bundle)
        return type(self)._restore, (*held, self.min_confidence, self._named)

    @overload
    def predict(self, pictures: Source) -> Prediction: ...
    @overload
    def predict(self, pictures: list[AnySource] | tuple[AnySource, ...]) -> list[Prediction]: ...
    def predict(self, pictures: Source | list[AnySource] | tuple[AnySource, ...]) -> Prediction | list[Prediction]:
        """Return the answer to a picture, or a list with the answer to each of several pictures, in order.

        Several pictures are a list, a tuple, or an array of images of the model's size: `[N, channels, height, width]`
        or `[N, 1, height, width]`, and `[N, height, width]` where the model's input is gray. A single picture of that
        size may be `[channels, height, width]` where the model's input is in color, and in a list also where it is
        gray. A picture that can't be read costs only its own answer, whose status says so.

        Raises:
            TypeError: something is not a picture in any form.
            ValueError: an array has a shape, dtype or range that a picture can't have.
            UserError: the artifact fails while it runs.
        """
        if isinstance(pictures, (list, tuple)):
            return [self._answer(picture) for picture in pictures]
        if isinstance(pictures, np.ndarray) and pictures.ndim > 2:
            images = as_batch(pictures, self._input_shape)
            if images is not None:
                return [self._answer(image) for image in images]
        return self._answer(pictures)

    def stream(self, pictures: Iterable[Source]) -> Iterator[Prediction]:
        """Yield the answer to each picture as soon as it is known, in order; raises as `predict` does.

        Raises:
            TypeError: it is a single picture, whose parts are no pictures, or an array that is not several images of
                the model's size.
        """
        if isinstance(pictures, np.ndarray) and pictures.ndim > 1:
            images = as_batch(pictures, self._input_shape)
            if images is None:
                shape = list(pictures.shape)
                raise TypeError(f"an array of shape {shape} is not images of the model's size: put the one into a list")
            return map(self._answer, images)
        if isinstance(pictures, _ONE_PICTURE) or hasattr(pictures, "read"):
            raise TypeError("expected several pictures: put the one into a list")
        return map(self._answer, pictures)

    def inspect(self, picture: Source) -> Inspection:
        """Return the answer to a picture with what was seen in it; raises as `predict` does.

        The picture is decoded and prepared once.
        """
        opened = None
        try:
            ready = None
            if isinstance(picture, np.ndarray):
                picture, ready = prepared(picture, self._input_shape, self._as_model_input)
            opened = open_picture(picture)
            seen = self._preprocess(opened) if ready is None else PreprocessingResult((as_stage(ready),))
        except _PICTURE_FAILURES as error:
            return Inspection(opened, None, self._failure(picture, error))
        return Inspection(opened, seen, self._classify(picture, seen.tensor, seen.other_digits))

    def read(self, picture: Source) -> "Number":
        """Return the number in a picture, or the numbers on a page; raises as `predict` does.

        Digits that touch are cut apart by what the model says of the pieces; an answer with such digits is `uncertain`.
        Where no model was named, the built-in CNN is opened for it: one mistake makes a number wrong.

        Raises:
            UserError: the preprocessing of the model does not read numbers, or it fails while it runs.
        """
        from mnist_edge.runtime.number import Number, read_lines  # who reads single digits does not pay for it

        if not self._named:
            self._for_numbers = self._for_numbers or Recognizer(DEFAULT_NUMBER_MODEL)
            self._for_numbers.min_confidence = self.min_confidence
            return self._for_numbers.read(picture)
        if self._segment_number is None:
            raise UserError(f"{self._name} can't read numbers: its preprocessing is for pictures of one digit")
        try:
            if isinstance(picture, np.ndarray):
                picture, _ = prepared(picture, self._input_shape, self._as_model_input)
            lines = self._segment_number(open_picture(picture))
        except _PICTURE_FAILURES as error:
            failed = self._failure(picture, error)
            return Number(failed.path, failed.status, None, None, (), self._name, failed.message)
        return read_lines(lines, self._scored, self._labels, path_of(picture), self._name, self.min_confidence)

    def _answer(self, picture: Source) -> Prediction:
        if isinstance(picture, np.ndarray):
            picture, ready = prepared(picture, self._input_shape, self._as_model_input)
            if ready is not None:
                return self._classify(picture, ready, 0)
        try:
            seen = self._preprocess(open_picture(picture))
        except _PICTURE_FAILURES as error:
            return self._failure(picture, error)
        return self._classify(picture, seen.tensor, seen.other_digits)

    def _classify(self, picture: Source, images: Images, other_digits: int) -> Prediction:
        """Return the answer to a picture that was prepared, float32 `[1, channels, height, width]`."""
        best, probabilities, _, known = self._scored(images)
        reliable = known and (self.min_confidence is not None or not other_digits)
        return Prediction(
            path_of(picture),
            _OK if reliable else Status.UNCERTAIN,
            self._labels[best],
            self._digits[best],
            probabilities[best],
            probabilities,
            self._labels,
            self._name,
        )

    def _scored(self, images: Images) -> Scored:
        """Return what the model says of an image, float32 `[1, channels, height, width]`.

        Raises:
            UserError: it fails, or gives what are not finite numbers.
        """
        try:
            logits = self._predict(images)[0].tolist()
        except ArtifactError as error:
            raise UserError(f"cannot use {self.artifact.path}: {error}") from error
        best, probabilities, energy, margin = score(logits, self._temperature)
        if not isfinite(energy):  # as is every probability then
            raise UserError(f"{self._name} gives logits that are not finite numbers")
        if self.min_confidence is None:
            known = energy >= self._least_energy and margin >= self._margin_threshold
        else:
            known = probabilities[best] >= self.min_confidence
        return best, probabilities, energy - self._energy_threshold, known

    def _failure(self, picture: Source, error: Exception) -> Prediction:
        status = Status.NO_DIGIT if isinstance(error, NoDigitError) else Status.UNREADABLE
        message = TOO_MUCH_MEMORY if isinstance(error, MemoryError) else str(error)
        return Prediction(path_of(picture), status, None, None, None, (), self._labels, self._name, message)


def _preprocessing_for(task: Task) -> Preprocessing:
    """Return what a task's contract asks for.

    Raises:
        UserError: it is not known here, or gives another input than the contract's.
    """
    if task.preprocessing not in PREPROCESSINGS:
        raise UserError(
            f"its contract asks for preprocessing {task.preprocessing!r}, this runner gives "
            f"{' or '.join(map(repr, PREPROCESSINGS))}"
        )
    preprocessing = load_preprocessing(task.preprocessing, task.input)
    for field in dataclasses.fields(task.input):
        asked, given = getattr(task.input, field.name), getattr(preprocessing.output, field.name)
        if asked != given:
            raise UserError(f"its contract asks for input {field.name} {asked!r}, this runner gives {given!r}")
    return preprocessing
