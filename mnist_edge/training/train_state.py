"""The state of a training: before its first epoch, between two epochs, and on disk.

From the file an interrupted training continues to the same bytes as if it had not been interrupted.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mnist_edge.artifact.contract import NO_LICENSE, Task
from mnist_edge.artifact.fields import (
    MAX_COUNT,
    expect_fields,
    expect_version,
    one_line,
    take,
    take_digests,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_sha256,
    take_text,
)
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.own import OwnArchitecture, OwnNetwork
from mnist_edge.training.architectures.registry import build_model, weights_fit
from mnist_edge.training.optimizers import exponential_average, make_optimizers, state_of
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.safetensors_io import read_tensors, write_tensors
from mnist_edge.training.trial import TrialLogits, same_logits, take_trial_logits, trial_logits

VERSION = 4
"""Version of the file's layout."""


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch.

    Attributes:
        epoch: counted from 1.
        loss: mean loss in nats over the epoch's batches, augmented and with the recipe's outliers, measured while they
            were learned from.
        accuracy: share of the validation images answered correctly after the epoch, in [0, 1].
    """

    epoch: int
    loss: float
    accuracy: float


@dataclass
class TrainState:
    """What one epoch changes and the next one needs.

    Attributes:
        model: the weights that SGD moves.
        recipe: how they are moved.
        optimizers: SGD, and Muon where the recipe has it, with their momenta.
        ema: the exponential moving average of the weights, or None where the recipe has none.
        shuffle_rng: draws the order of the images.
        augment_rng: draws the augmentation.
        history: the result of each finished epoch.
    """

    model: nn.Module
    recipe: Recipe
    optimizers: tuple[torch.optim.Optimizer, ...]
    ema: AveragedModel | None
    shuffle_rng: Generator
    augment_rng: Generator
    history: list[Epoch] = field(default_factory=list)

    @property
    def eval_model(self) -> nn.Module:
        """The model that the training is for: the average of the weights where there is one."""
        return self.model if self.ema is None else self.ema.module

    def to(self, device: str) -> None:
        """Move what is computed with to a device; what is drawn stays on the CPU."""
        if device == "cpu":
            return
        self.model.to(device)
        if self.ema is not None:
            self.ema.to(device)
        for optimizer in self.optimizers:
            for kept in optimizer.state.values():
                kept.update({name: value.to(device) for name, value in kept.items() if isinstance(value, Tensor)})


@dataclass(frozen=True)
class TrainingConfig:
    """What determines a training: with the same configuration and versions it ends with the same bytes.

    Attributes:
        task: what the model is trained for.
        architecture: a key of `mnist_edge.training.architectures.registry.ARCHITECTURES`, or names the user's own code.
        recipe: how it is trained.
        seed: what the initial weights, the order of the images and the augmentation are drawn from.
        data_digest: SHA-256 of the training images and labels.
        teachers: SHA-256 of the checkpoints that it learns from, of recipes that do.
        license: of the weights, an SPDX expression.
        threads: that compute; the bytes depend on them, but for `SAME_FOR_ANY_THREADS` of the registry.
    """

    task: Task
    architecture: str
    recipe: Recipe
    seed: int
    data_digest: str
    teachers: tuple[str, ...] = ()
    license: str = NO_LICENSE
    threads: int = 1

    def init_train_state(self, own: OwnArchitecture | None = None) -> TrainState:
        """Return the training before its first epoch; `own` is the code of an architecture of the user's own.

        Raises:
            UserError: the architecture is unknown, or does not make a network for the task.
        """
        return init_train_state(build_model(self.architecture, self.task, self.seed, own), self.recipe, self.seed)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "TrainingConfig":
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_fields(cls.__dataclass_fields__, fields)
        return cls(
            task=Task.from_fields(take_object(fields, "task")),
            architecture=take_text(fields, "architecture"),
            recipe=Recipe.from_fields(take_object(fields, "recipe")),
            seed=take_integer(fields, "seed", 0, MAX_COUNT),
            data_digest=take_sha256(fields, "data_digest"),
            teachers=take_digests(fields, "teachers"),
            license=take_text(fields, "license"),
            threads=take_integer(fields, "threads", 1, MAX_COUNT),
        )


def init_train_state(model: nn.Module, recipe: Recipe, seed: int) -> TrainState:
    """Return a training of `model`, in place, before its first epoch; all it draws is drawn from `seed`."""
    if not isinstance(model, OwnNetwork):  # whose code may ask for the usual order, as `view` does
        model.to(memory_format=torch.channels_last)  # convolutions take a tenth less time
    return TrainState(
        model=model,
        recipe=recipe,
        optimizers=make_optimizers(model, recipe),
        ema=exponential_average(model, recipe.ema_decay) if recipe.ema_decay else None,
        shuffle_rng=Generator().manual_seed(seed),
        augment_rng=Generator().manual_seed(seed + 1),
    )


def history_from_fields(fields: Mapping[str, Any]) -> list[Epoch]:
    """Return the field `history`, the results of the epochs from the first on.

    Raises:
        ValueError: something is missing, of another type, or out of range.
    """
    entries = take(fields, "history")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("history is not a list of objects")
    return [_epoch(number, entry) for number, entry in enumerate(entries, start=1)]


def _epoch(number: int, fields: Mapping[str, Any]) -> Epoch:
    expect_fields(Epoch.__dataclass_fields__, fields)
    return Epoch(
        epoch=take_integer(fields, "epoch", number, number),
        loss=take_number(fields, "loss", 0),
        accuracy=take_number(fields, "accuracy", 0, 1),
    )


def save_train_state(path: Path, state: TrainState, config: TrainingConfig) -> None:
    """Write a training between two epochs, atomically.

    Raises:
        UserError: the file can't be written.
    """
    metadata = {
        "version": VERSION,
        "config": dataclasses.asdict(config),
        "history": [dataclasses.asdict(epoch) for epoch in state.history],
        "momenta": list(_momenta(state)),
        "trial_logits": _trial(state, config.task),
    }
    write_tensors(path, _tensors(state), metadata)


def load_train_state(path: Path, own: OwnArchitecture | None = None) -> tuple[TrainState, TrainingConfig]:
    """Read what `save_train_state` wrote; `own` is the code of an architecture of the user's own.

    Raises:
        UserError: there is no such file, it is damaged, or its architecture is the user's own and not given, or gives
            other answers than when the file was written.
    """
    if not path.exists():
        raise UserError(f"no interrupted training at {path}: leave out --resume to begin one")
    tensors, metadata, _ = read_tensors(path, "an interrupted training")
    try:
        expect_version(metadata, VERSION)
        expect_fields(("version", "config", "history", "momenta", "trial_logits"), metadata)
        config = TrainingConfig.from_fields(take_object(metadata, "config"))
        if not weights_fit(config.architecture, config.task, _part(tensors, "model."), own):
            raise ValueError(f"its weights do not fit its architecture {config.architecture!r}")
        state = config.init_train_state(own)
        _restore(state, tensors, take_list(metadata, "momenta"))
        state.history.extend(history_from_fields(metadata))
        answered = take_trial_logits(metadata, "trial_logits")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} is damaged or of another version of mnist-edge ({one_line(error)}): remove it and train from the "
            "beginning"
        ) from error
    if own is not None and not same_logits(own.run("with images", lambda: _trial(state, config.task)), answered):
        raise UserError(
            f"{own.spec} gives other answers than when {path} was written, though the weights fit: its code has "
            f"changed; put it back as it was, or remove {path} to begin again"
        )
    return state, config


def _trial(state: TrainState, task: Task) -> TrialLogits:
    """Return what a network of the user's answers with the weights so far; nothing for one of the registry."""
    return trial_logits(state.model.eval(), task) if isinstance(state.model, OwnNetwork) else ()


def _tensors(state: TrainState) -> dict[str, Tensor]:
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    if state.ema is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in state.ema.state_dict().items()}
    tensors |= {f"momentum.{index}": momentum for index, momentum in _momenta(state).items()}
    return tensors | {"shuffle_rng": state.shuffle_rng.get_state(), "augment_rng": state.augment_rng.get_state()}


def _momenta(state: TrainState) -> dict[int, Tensor]:
    """Return the momenta by the place of their weights.

    There are none before the first step, without momentum, and of weights that have no gradient, as frozen ones.
    """
    kept = (state_of(parameter, state.optimizers).get("momentum_buffer") for parameter in state.model.parameters())
    return {index: momentum for index, momentum in enumerate(kept) if momentum is not None}


def _restore(state: TrainState, tensors: Mapping[str, Tensor], momenta: Sequence[object]) -> None:
    """Put the tensors of a file, whose model's weights fit, into a training before its first epoch.

    `momenta` are the places of the weights that have one.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: something is missing, of another type or shape.
    """
    state.model.load_state_dict(_part(tensors, "model."))
    if state.ema is not None:
        state.ema.load_state_dict(_part(tensors, "ema."))
    for index, parameter in enumerate(state.model.parameters()):
        if index in momenta:
            momentum = tensors[f"momentum.{index}"]
            state_of(parameter, state.optimizers)["momentum_buffer"] = _like(parameter, momentum)
    state.shuffle_rng.set_state(tensors["shuffle_rng"])
    state.augment_rng.set_state(tensors["augment_rng"])
    if unknown := sorted(tensors.keys() - _tensors(state).keys()):
        raise ValueError(f"{unknown[0][:40]!r} is an unknown tensor")


def _like(parameter: Tensor, momentum: Tensor) -> Tensor:
    if momentum.shape != parameter.shape or momentum.dtype != parameter.dtype:
        raise ValueError("a momentum is not of its weight's shape and type")
    return momentum


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
