"""Measure a model, trained or exported, on labelled images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.formats.base import ArtefactError
from mnist_edge.formats.registry import format_of
from mnist_edge.parity.comparison import TOLERANCES, eager_predictor, in_batches
from mnist_edge.formats.onnx.runner import Predict, check_finite
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mnist_edge.training.datasets.mnist import Split
from mnist_edge.training.metrics import Evaluation, evaluate_logits

Robustness = dict[str, list[float]]
"""Accuracy in [0, 1] at severity 1 to 5, for each corruption."""


@dataclass(frozen=True)
class OpenModel:
    """A checkpoint or an exported file, open in its own runtime.

    Attributes:
        path: its file.
        predict: images → logits.
        batch: the largest batch at which its answers are those of deployment.
        temperature: by which its logits are to be divided before the softmax.
    """

    path: Path
    predict: Predict
    batch: int
    temperature: float

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits, float32 `[N, 10]`, of images, float32 `[N, 1, 28, 28]` in [0, 1].

        Raises:
            UserError: the file can't be run, or an image holds NaN or infinity.
        """
        check_finite(images)
        try:
            return in_batches(self.predict, images, self.batch)
        except ArtefactError as error:
            raise UserError(f"cannot run {self.path}: {error}") from error


def open_model(path: Path) -> OpenModel:
    """Open a checkpoint (`.safetensors`) or an exported file.

    Raises:
        UserError: the file can't be read, or is neither.
    """
    if path.suffix == ".safetensors":
        checkpoint = load_checkpoint(path)
        return OpenModel(path, eager_predictor(checkpoint), 1_000, checkpoint.temperature)
    try:
        loaded = format_of(path).load(path)
    except ArtefactError as error:
        raise UserError(f"cannot load {path}: {error}; expected a file made by `mnist-edge export`") from error
    tolerance = TOLERANCES.get(loaded.contract.precision)
    batch = tolerance.batches[-1] if tolerance else 1
    return OpenModel(path, loaded.predict, batch, loaded.contract.temperature)


def evaluate(model: OpenModel, test: Split) -> Evaluation:
    """Measure a model at the batch size at which it is deployed.

    Raises:
        UserError: the file can't be run.
    """
    logits = model.answer(test.images.numpy())
    return evaluate_logits(logits, test.labels.numpy(), model.temperature)


def evaluate_corrupted(model: OpenModel, test: Split) -> Robustness:
    """Measure a model's accuracy on corrupted images, the same ones for every model.

    Raises:
        UserError: the file can't be run.
    """
    labels = test.labels.numpy()
    return {
        kind: [
            float((model.answer(corrupt(test.images, kind, severity).numpy()).argmax(axis=1) == labels).mean())
            for severity in SEVERITIES
        ]
        for kind in CORRUPTIONS
    }
