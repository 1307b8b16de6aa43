"""An interrupted training on disk, from which it goes on to the same bytes as if it had not been interrupted."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mnist_edge.errors import UserError
from mnist_edge.training.loop import Epoch, Training, begin
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.safetensors_io import read_tensors, write_tensors

VERSION = 1
"""Version of the file's layout."""

SUFFIX = ".resume"
"""Put behind the name of the checkpoint that the training is for."""


@dataclass(frozen=True)
class Plan:
    """What a training is of: with the same plan and versions it ends with the same bytes.

    Attributes:
        architecture: a key of `mnist_edge.training.architectures.registry.ARCHITECTURES`.
        recipe: how it is trained.
        seed: what the initial weights, the order of the images and the augmentation are drawn from.
        data_digest: SHA-256 of the training images and labels.
    """

    architecture: str
    recipe: Recipe
    seed: int
    data_digest: str

    def begin(self) -> Training:
        """Return the training before its first epoch."""
        return begin(build_model(self.architecture, self.seed), self.recipe, self.seed)


def resume_path(checkpoint: Path) -> Path:
    """Return where the interrupted training of a checkpoint is kept."""
    return checkpoint.with_name(checkpoint.name + SUFFIX)


def save_training(path: Path, training: Training, plan: Plan) -> None:
    """Write a training between two epochs, atomically.

    Raises:
        UserError: the file can't be written.
    """
    history = [dataclasses.asdict(epoch) for epoch in training.history]
    write_tensors(path, _state(training), {"version": VERSION, "plan": dataclasses.asdict(plan), "history": history})


def load_training(path: Path) -> tuple[Training, Plan]:
    """Read what `save_training` wrote.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    if not path.exists():
        raise UserError(f"no interrupted training at {path}: leave out --resume to begin one")
    tensors, metadata, _ = read_tensors(path, "an interrupted training")
    try:
        if metadata["version"] != VERSION:
            raise ValueError(f"version {metadata['version']}, expected {VERSION}")
        plan = Plan(**{**metadata["plan"], "recipe": Recipe.from_json(metadata["plan"]["recipe"])})
        training = plan.begin()
        _restore(training, tensors)
        training.history.extend(Epoch(**epoch) for epoch in metadata["history"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is damaged ({error}): remove it and train from the beginning") from error
    return training, plan


def _state(training: Training) -> dict[str, Tensor]:
    state = {f"model.{name}": tensor for name, tensor in training.model.state_dict().items()}
    if training.average is not None:
        state |= {f"average.{name}": tensor for name, tensor in training.average.state_dict().items()}
    for index, parameter in enumerate(training.model.parameters()):
        momentum = training.optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            state[f"momentum.{index}"] = momentum
    return state | {"order": training.order.get_state(), "draws": training.draws.get_state()}


def _restore(training: Training, state: dict[str, Tensor]) -> None:
    training.model.load_state_dict(_part(state, "model."))
    if training.average is not None:
        training.average.load_state_dict(_part(state, "average."))
    momentum = _part(state, "momentum.")
    for index, parameter in enumerate(training.model.parameters()):
        if str(index) in momentum:
            training.optimizer.state[parameter]["momentum_buffer"] = momentum[str(index)]
    training.order.set_state(state["order"])
    training.draws.set_state(state["draws"])


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
