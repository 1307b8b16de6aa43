"""The architectures that can be trained, by name."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.cnn import CNN
from mnist_edge.training.architectures.mlp import MLP

ARCHITECTURES: dict[str, Callable[[Task], nn.Module]] = {"mlp": MLP, "cnn": CNN}
"""What makes a network for a task, its weights drawn from torch's global generator."""


def build_model(architecture: str, task: Task, seed: int = 0) -> nn.Module:
    """Return a model with weights drawn from `seed`; torch's global generator is left as it was.

    Raises:
        UserError: no architecture has that name.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(f"unknown architecture {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture](task)


def weights_fit(architecture: str, task: Task, weights: Mapping[str, Tensor]) -> bool:
    """Return whether `weights` have the names, shapes and types of an architecture's `state_dict`.

    The network is made without memory for its weights, so that sizes that a damaged file claims cost nothing.

    Raises:
        UserError: no architecture has that name.
    """
    with torch.device("meta"):
        expected = build_model(architecture, task).state_dict()
    return _layout(weights) == _layout(expected)


def _layout(weights: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
