"""The architectures that can be trained, by name."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.names import is_own
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.cnn import CNN
from mnist_edge.training.architectures.mlp import MLP
from mnist_edge.training.architectures.own import OwnArchitecture

ARCHITECTURES: dict[str, Callable[[Task], nn.Module]] = {"mlp": MLP, "cnn": CNN}
"""What makes a network for a task, its weights drawn from torch's global generator."""

SAME_FOR_ANY_THREADS = frozenset({"mlp"})
"""Those whose training ends with the same bytes, however many threads compute."""


def build_model(architecture: str, task: Task, seed: int = 0, own: OwnArchitecture | None = None) -> nn.Module:
    """Return a model with weights drawn from `seed`; torch's global generator is left as it was.

    Args:
        architecture: a key of `ARCHITECTURES`, or the name of an architecture of the user's own.
        task: what it is for.
        seed: what the weights are drawn from.
        own: the code of an architecture of the user's own.

    Raises:
        UserError: no architecture has that name, its code is not given, or it does not make a network for the task.
    """
    make = _maker(architecture, own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(task)


def weights_fit(
    architecture: str, task: Task, weights: Mapping[str, Tensor], own: OwnArchitecture | None = None
) -> bool:
    """Return whether `weights` have the names, shapes and types of an architecture's `state_dict`.

    A network of the registry is made without memory for its weights, so that sizes that a damaged file claims cost
    nothing. One of the user's own may compute with its weights as it is made.

    Raises:
        UserError: as `build_model`.
    """
    if architecture in ARCHITECTURES:
        with torch.device("meta"):
            expected = build_model(architecture, task).state_dict()
    else:
        expected = build_model(architecture, task, own=own).state_dict()
    return _layout(weights) == _layout(expected)


def _maker(architecture: str, own: OwnArchitecture | None) -> Callable[[Task], nn.Module]:
    if architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture]
    if own is not None:
        return own.make
    if is_own(architecture):
        raise UserError(
            f"the network {architecture} is not a part of mnist-edge, and no code is run from a file: "
            f"name it with --arch, as in --arch path/to/{architecture}"
        )
    raise UserError(f"unknown architecture {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")


def _layout(weights: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
