"""Measure a model, trained or exported, on labelled images."""

from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.export.format import ArtefactError
from mnist_edge.export.formats import format_of
from mnist_edge.export.parity import TOLERANCES, eager_predictor, in_batches
from mnist_edge.runtime.session import Predict
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.data import Split
from mnist_edge.training.metrics import Evaluation, evaluate_logits


def evaluate(path: Path, test: Split) -> Evaluation:
    """Measure a checkpoint or an exported file, in its own runtime and at the batch size at which it is deployed.

    Raises:
        UserError: the file can't be read or run.
    """
    predict, batch = _open(path)
    try:
        logits = in_batches(predict, test.images.numpy(), batch)
    except ArtefactError as error:
        raise UserError(f"cannot run {path}: {error}") from error
    return evaluate_logits(logits, test.labels.numpy())


def _open(path: Path) -> tuple[Predict, int]:
    """Return the function that runs the model, and the largest batch at which its answers are those of deployment."""
    if path.suffix == ".safetensors":
        return eager_predictor(load_checkpoint(path)), 1_000
    try:
        loaded = format_of(path).load(path)
    except ArtefactError as error:
        raise UserError(f"cannot load {path}: {error}; expected a file made by `mnist-edge export`") from error
    tolerance = TOLERANCES.get(loaded.contract.precision)
    return loaded.predict, tolerance.batches[-1] if tolerance else 1
