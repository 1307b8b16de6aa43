"""A trained model on disk: weights as safetensors, and how they were made as metadata. No pickle."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mnist_edge
from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.contract import NO_LICENSE, Task
from mnist_edge.artifact.fields import (
    MAX_COUNT,
    expect_fields,
    expect_version,
    one_line,
    take_digests,
    take_integer,
    take_number,
    take_object,
    take_sha256,
    take_text,
    take_versions,
)
from mnist_edge.artifact.names import is_own
from mnist_edge.atomic import atomic_write
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.normalization import Normalization
from mnist_edge.training.architectures.own import OwnArchitecture
from mnist_edge.training.architectures.registry import build_model, weights_fit
from mnist_edge.training.calibration import choose_temperature
from mnist_edge.training.datasets.record import DataRecord
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.loop import predict_logits
from mnist_edge.training.ood import Thresholds, fit_thresholds
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.safetensors_io import read_tensors, tensors_to_bytes
from mnist_edge.training.train_state import Epoch, TrainingConfig, TrainState, history_from_fields
from mnist_edge.training.trial import TrialLogits, same_logits, take_trial_logits, trial_logits

CHECKPOINT_SUFFIX = ".safetensors"
"""How the names of checkpoints end."""

VERSION = 5
"""Version of the metadata's layout."""

_NOT_METADATA = ("weights", "file_digest", "own")


@dataclass(frozen=True)
class Checkpoint:
    """Weights and how they were made.

    Attributes:
        task: what the model is for, and its input.
        architecture: a key of `mnist_edge.training.architectures.registry.ARCHITECTURES`, or names the user's own code.
        weights: the model's `state_dict`.
        recipe: how it was trained, None for weights that were imported.
        seed: what the initial weights, the order of the images and the augmentation were drawn from, 0 for imported
            ones.
        history: loss and validation accuracy of each epoch; none for imported ones.
        temperature: logits are divided by it before the softmax; fitted on the validation images.
        thresholds: the out-of-distribution scores that an answer must have; fitted on the validation images.
        data_digest: SHA-256 of the training images and labels, or of a folder's files; imported weights were calibrated
            on a part of them.
        teachers: SHA-256 of the checkpoints that it learned from, of recipes that do.
        data: where the images came from, and how many there are of each label.
        producer: versions of the packages that made it.
        license: of the weights, an SPDX expression.
        trial_logits: what a network of the user's gives for a few fixed images; none for one of the registry.
        file_digest: SHA-256 of the file it was read from, None for one that was not.
        own: the code of an architecture of the user's own, which no file holds.
    """

    task: Task
    architecture: str
    weights: dict[str, Tensor] = field(repr=False)
    recipe: Recipe | None
    seed: int
    history: tuple[Epoch, ...] = field(repr=False)
    temperature: float
    thresholds: Thresholds
    data_digest: str
    data: DataRecord
    producer: dict[str, str]
    teachers: tuple[str, ...] = ()
    license: str = NO_LICENSE
    trial_logits: TrialLogits = field(default=(), repr=False)
    file_digest: str | None = field(default=None, compare=False)
    own: OwnArchitecture | None = field(default=None, compare=False, repr=False)

    def build(self) -> nn.Module:
        """Return the model with these weights, in `eval()`.

        Raises:
            UserError: the architecture is unknown, or is the user's own and not given, or the weights are not its own.
        """
        if not weights_fit(self.architecture, self.task, self.weights, self.own):
            name = self.architecture if self.own is None else self.own.spec
            raise UserError(
                f"the checkpoint's weights do not fit its architecture {name!r}, which may have had other layers when "
                "it was trained: train it again"
            )
        model = build_model(self.architecture, self.task, own=self.own)
        model.load_state_dict(self.weights)
        return model.eval()

    def with_own(self, own: OwnArchitecture | None) -> "Checkpoint":
        """Return the checkpoint with the code of its architecture, None for one of the registry.

        Raises:
            UserError: its architecture is one of the registry, which needs no code; or the code does not fit the
                weights, or gives other answers than when they were learned or imported.
        """
        if own is not None and not is_own(self.architecture):
            raise UserError(
                f"the checkpoint is of the architecture {self.architecture!r}, not of {own.spec}: leave out --arch"
            )
        if own is not None:
            own = dataclasses.replace(own, normalization=Normalization.stored_in(self.weights))
        found = dataclasses.replace(self, own=own)
        if own is not None and not same_logits(_trial(own, found.build(), self.task), self.trial_logits):
            raise UserError(
                f"{own.spec} gives other answers than when the checkpoint was made, though the weights fit: its code "
                "has changed; put it back as it was, or train or import again"
            )
        return found

    def to_bytes(self) -> bytes:
        """Return the checkpoint as a safetensors file; the same checkpoint gives the same bytes."""
        metadata = dataclasses.asdict(dataclasses.replace(self, weights={}, own=None))
        for name in _NOT_METADATA:
            del metadata[name]
        return tensors_to_bytes(self.weights, {"version": VERSION, **metadata})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the checkpoint's file, as 64 hexadecimal digits."""
        return self.file_digest or sha256(self.to_bytes())


def _trial(own: OwnArchitecture, model: nn.Module, task: Task) -> TrialLogits:
    return own.run("with images", lambda: trial_logits(model, task))


def with_trial(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint of a network of the user's with what its code answers now."""
    assert checkpoint.own is not None, "those of the registry have no code of the user's"
    logits = _trial(checkpoint.own, checkpoint.build(), checkpoint.task)
    return dataclasses.replace(checkpoint, trial_logits=logits)


def make_checkpoint(
    state: TrainState, config: TrainingConfig, data: TrainingData, own: OwnArchitecture | None = None
) -> Checkpoint:
    """Return the checkpoint of a training that was just finished here, calibrated on `data`'s validation images.

    `own` is the code of an architecture of the user's own.

    Raises:
        UserError: the logits are so great that no out-of-distribution threshold fits, or `own` fails.
    """
    validation = data.validation
    logits = predict_logits(state.eval_model, validation.images).numpy()
    temperature = choose_temperature(logits, validation.labels.numpy())
    made = Checkpoint(
        task=config.task,
        architecture=config.architecture,
        weights={name: tensor.detach().cpu().clone() for name, tensor in state.eval_model.state_dict().items()},
        recipe=config.recipe,
        seed=config.seed,
        history=tuple(state.history),
        temperature=temperature,
        thresholds=fit_thresholds(state.eval_model, validation, config.recipe.augmentation, temperature),
        data_digest=config.data_digest,
        data=data.record(config.task),
        producer={"mnist-edge": mnist_edge.__version__, "torch": torch.__version__},
        teachers=config.teachers,
        license=config.license,
        own=own,
    )
    return made if own is None else with_trial(made)


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
    except ValueError as error:
        raise UserError(
            f"{path} is not a checkpoint of mnist-edge, or is damaged ({one_line(error)}): "
            "make one with `mnist-edge train`"
        ) from error


def _from_metadata(metadata: Mapping[str, Any], weights: dict[str, Tensor]) -> Checkpoint:
    """Return the checkpoint; raises `ValueError` where the metadata is not what `to_bytes` writes."""
    expect_version(metadata, VERSION)
    names = {entry.name for entry in dataclasses.fields(Checkpoint)}.difference(_NOT_METADATA)
    expect_fields(names | {"version"}, metadata)
    return Checkpoint(
        task=Task.from_fields(take_object(metadata, "task")),
        architecture=take_text(metadata, "architecture"),
        weights=weights,
        recipe=None if metadata["recipe"] is None else Recipe.from_fields(take_object(metadata, "recipe")),
        seed=take_integer(metadata, "seed", 0, MAX_COUNT),
        history=tuple(history_from_fields(metadata)),
        temperature=take_number(metadata, "temperature", 1e-6, 1e6),
        thresholds=Thresholds.from_fields(take_object(metadata, "thresholds")),
        data_digest=take_sha256(metadata, "data_digest"),
        data=DataRecord.from_fields(take_object(metadata, "data")),
        producer=take_versions(metadata, "producer"),
        teachers=take_digests(metadata, "teachers"),
        license=take_text(metadata, "license"),
        trial_logits=take_trial_logits(metadata, "trial_logits"),
    )
