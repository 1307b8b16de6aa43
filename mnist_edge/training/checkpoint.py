"""A trained model on disk: weights as safetensors, and how they were made as metadata. No pickle."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.atomic import atomic_write, sha256
from mnist_edge.training.calibration import fit_temperature
from mnist_edge.training.datasets.mnist import TrainingData
from mnist_edge.training.loop import Epoch, Training, answer
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.train_state import Plan
from mnist_edge.training.safetensors_io import read_tensors, tensors_to_bytes

VERSION = 1
"""Version of the metadata's layout."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights and how they were made.

    Attributes:
        architecture: a key of `mnist_edge.training.architectures.registry.ARCHITECTURES`.
        weights: the model's `state_dict`.
        recipe: how it was trained.
        seed: what the initial weights, the order of the images and the augmentation were drawn from.
        history: loss and validation accuracy of each epoch.
        temperature: by which logits are divided before the softmax, fitted on the validation images.
        data_digest: SHA-256 of the training images and labels.
        versions: of the packages that made it.
        file_digest: SHA-256 of the file it was read from, None for one that was not.
    """

    architecture: str
    weights: dict[str, Tensor]
    recipe: Recipe
    seed: int
    history: tuple[Epoch, ...]
    temperature: float
    data_digest: str
    versions: dict[str, str]
    file_digest: str | None = field(default=None, compare=False)

    def build(self) -> nn.Module:
        """Return the model with these weights, in `eval()`.

        Raises:
            UserError: the architecture is unknown or the weights are not its own.
        """
        model = build_model(self.architecture)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(
                f"the checkpoint's weights do not fit its architecture {self.architecture!r}: train it again"
            ) from error
        return model.eval()

    def to_bytes(self) -> bytes:
        """Return the checkpoint as a safetensors file; the same checkpoint gives the same bytes."""
        metadata = dataclasses.asdict(dataclasses.replace(self, weights={}))
        del metadata["weights"], metadata["file_digest"]
        return tensors_to_bytes(self.weights, {"version": VERSION, **metadata})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the checkpoint's file, as 64 hexadecimal digits."""
        return self.file_digest or sha256(self.to_bytes())


def make_checkpoint(training: Training, plan: Plan, data: TrainingData) -> Checkpoint:
    """Return the checkpoint of a training that was just finished here, with a temperature fitted on `data`."""
    logits = answer(training.result, data.validation.images)
    return Checkpoint(
        architecture=plan.architecture,
        weights={name: tensor.detach().clone() for name, tensor in training.result.state_dict().items()},
        recipe=plan.recipe,
        seed=plan.seed,
        history=tuple(training.history),
        temperature=fit_temperature(logits.numpy(), data.validation.labels.numpy()),
        data_digest=plan.data_digest,
        versions={"mnist-edge": mnist_edge.__version__, "torch": torch.__version__},
    )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, atomically.

    Raises:
        UserError: the file can't be written.
    """
    atomic_write(path, checkpoint.to_bytes())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of mnist-edge.
    """
    if not path.exists():
        raise UserError(f"no checkpoint at {path}: make one with `mnist-edge train`, or name another file")
    weights, metadata, digest = read_tensors(path, "a checkpoint")
    try:
        return dataclasses.replace(_from_metadata(metadata, weights), file_digest=digest)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a checkpoint of mnist-edge, or is damaged ({error}): make one with `mnist-edge train`"
        ) from error


def _from_metadata(metadata: dict[str, Any], weights: dict[str, Tensor]) -> Checkpoint:
    if metadata["version"] != VERSION:
        raise ValueError(f"version {metadata['version']} of the metadata, expected {VERSION}")
    return Checkpoint(
        architecture=metadata["architecture"],
        weights=weights,
        recipe=Recipe.from_json(metadata["recipe"]),
        seed=metadata["seed"],
        history=tuple(Epoch(**epoch) for epoch in metadata["history"]),
        temperature=metadata["temperature"],
        data_digest=metadata["data_digest"],
        versions=metadata["versions"],
    )
