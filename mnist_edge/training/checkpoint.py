"""A trained model on disk: weights as safetensors, and how they were made as metadata. No pickle."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.files import atomic_write, read_bytes, sha256
from mnist_edge.training.loop import Epoch
from mnist_edge.training.model import build_model
from mnist_edge.training.recipe import Recipe

VERSION = 1
"""Version of the metadata's layout."""

_KEY = "mnist_edge"  # one key only: safetensors writes several in no fixed order


@dataclass(frozen=True)
class Checkpoint:
    """Weights and how they were made.

    Attributes:
        architecture: a key of `mnist_edge.training.model.ARCHITECTURES`.
        weights: the model's `state_dict`, float32.
        recipe: how it was trained.
        seed: what the initial weights and the order of the images were drawn from.
        history: loss and validation accuracy of each epoch.
        data_digest: SHA-256 of the training images and labels.
        versions: of the packages that made it.
    """

    architecture: str
    weights: dict[str, Tensor]
    recipe: Recipe
    seed: int
    history: tuple[Epoch, ...]
    data_digest: str
    versions: dict[str, str]

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
        del metadata["weights"]
        text = json.dumps({"version": VERSION, **metadata}, sort_keys=True)
        return safetensors.torch.save(self.weights, metadata={_KEY: text})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the checkpoint's file, as 64 hexadecimal digits."""
        return sha256(self.to_bytes())


def make_checkpoint(
    model: nn.Module, architecture: str, recipe: Recipe, seed: int, history: list[Epoch], data_digest: str
) -> Checkpoint:
    """Return the checkpoint of a model that was just trained here."""
    return Checkpoint(
        architecture=architecture,
        weights={name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        recipe=recipe,
        seed=seed,
        history=tuple(history),
        data_digest=data_digest,
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
    data = read_bytes(path)
    try:
        weights = safetensors.torch.load(data)
        return _from_metadata(_metadata(data), weights)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a checkpoint of mnist-edge, or is damaged ({error}): make one with `mnist-edge train`"
        ) from error


def _metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata in the header of a safetensors file: 8 bytes of length, then JSON.

    `safetensors.safe_open` reads the metadata only of a file by its name, and the file may have changed since.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata: dict[str, Any] = json.loads(header["__metadata__"][_KEY])
    return metadata


def _from_metadata(metadata: dict[str, Any], weights: dict[str, Tensor]) -> Checkpoint:
    if metadata["version"] != VERSION:
        raise ValueError(f"version {metadata['version']} of the metadata, expected {VERSION}")
    return Checkpoint(
        architecture=metadata["architecture"],
        weights=weights,
        recipe=Recipe(**metadata["recipe"]),
        seed=metadata["seed"],
        history=tuple(Epoch(**epoch) for epoch in metadata["history"]),
        data_digest=metadata["data_digest"],
        versions=metadata["versions"],
    )
