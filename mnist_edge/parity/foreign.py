"""A model file that somebody else made, given the images of a data set of ours."""

from dataclasses import dataclass

import numpy as np

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.build import ForeignTensor, Outline
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.types import Images, Logits, Predict, TensorSpec


@dataclass(frozen=True)
class ForeignModel:
    """A file that somebody else made, open in its own runtime.

    Attributes:
        predict: images of the task, float32 `[N, channels, height, width]` in [0, 1] → logits or probabilities.
        caveats: what is not known of it, in a line.
    """

    predict: Predict
    caveats: str


def open_foreign(artifact: ArtifactFile, task: Task) -> ForeignModel | None:
    """Open a file without a contract of ours, or return None where it has one, or its format reads no other files.

    Raises:
        UserError: it can't be read, does not take images of the task, or is not run here.
    """
    reader = artifact.spec.foreign_reader()
    try:
        found = reader.outline(artifact.bundle) if reader else None
        if reader is None or found is None:
            return None
        taken = _only_input(found)
        shape = _image_shape(taken, task.input)
        predict = reader.open_foreign(artifact.bundle, found)
    except ArtifactError as error:
        raise UserError(
            f"cannot use {artifact.path}: {error}; expected a file made by `mnist-edge export`, or an ONNX model of a "
            "small classifier"
        ) from error
    return ForeignModel(_predictor(predict, taken, shape, task), _caveats(taken))


def _only_input(found: Outline) -> ForeignTensor:
    if len(found.inputs) != 1:
        raise ArtifactError(f"the graph has {len(found.inputs)} inputs, expected 1")
    return found.inputs[0]


def _predictor(predict: Predict, taken: ForeignTensor, shape: tuple[int, ...], task: Task) -> Predict:
    """Return what gives images to a model in its shape, as many at once as it takes, or else one."""
    batch = max(taken.shape[0], 1) if isinstance(taken.shape[0], int) else 1

    def answers(images: Images) -> Logits:
        reshaped = np.ascontiguousarray(images).reshape(len(images), *shape)
        logits = predict_in_batches(predict, reshaped, batch, pad=True)
        if logits.shape[1] != len(task.labels):
            raise ArtifactError(f"it gives {logits.shape[1]} numbers for the {len(task.labels)} labels of {task.name}")
        return logits

    return answers


def _caveats(taken: ForeignTensor) -> str:
    return (
        "it carries no mnist-edge contract, so neither checksum nor test vectors; it is given white ink on black, "
        f"{taken.dtype} [{', '.join(map(str, taken.shape))}] in [0, 1]: whether it was trained with another "
        "normalization, and whether it gives logits or probabilities, is not known"
    )


def _image_shape(taken: ForeignTensor, image: TensorSpec) -> tuple[int, ...]:
    """Return the shape in which one image is given; raises `ArtifactError` where none fits.

    A color image fits in its own shape only: a file does not say in which order it takes channels and pixels otherwise.
    """
    channels, height, width = image.shape
    fitting = ((channels, height, width), (height, width, channels), (height, width), (channels * height * width,))
    if taken.dtype != image.dtype or taken.shape[1:] not in fitting[: 4 if channels == 1 else 1]:
        flat = f" or [N, {height * width}]" if channels == 1 else ""
        raise ArtifactError(
            f"its input is {taken.dtype} [{', '.join(map(str, taken.shape))}], expected {image.dtype} "
            f"[N, {channels}, {height}, {width}]{flat}"
        )
    return next(shape for shape in fitting if shape == taken.shape[1:])
