"""What moves a model's weights: SGD, Muon for hidden layers, and an exponential moving average that follows them."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from mnist_edge.errors import UserError
from mnist_edge.training.recipe import Recipe


def make_optimizers(model: nn.Module, recipe: Recipe) -> tuple[Optimizer, ...]:
    """Return SGD, and Muon for all matrices but the last layer's where the recipe has it.

    Raises:
        UserError: the network has no weights, or all of them are frozen.
    """
    parameters = list(model.parameters())
    if not any(parameter.requires_grad for parameter in parameters):
        raise UserError(
            "the network has no weights to train: it has none, or requires_grad is off for all of them; "
            "`mnist-edge import` takes a network that was trained already"
        )
    matrices = [parameter for parameter in parameters if parameter.ndim == 2][:-1] if recipe.muon_learning_rate else []
    others = [parameter for parameter in parameters if not any(parameter is matrix for matrix in matrices)]
    decay = recipe.weight_decay
    sgd = torch.optim.SGD(others, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=decay)
    muon = [torch.optim.Muon(matrices, lr=recipe.muon_learning_rate, weight_decay=decay)] if matrices else []
    for optimizer in (sgd, *muon):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]  # as torch's schedulers call it
    return (sgd, *muon)


def scale_learning_rates(optimizers: Iterable[Optimizer], share: float) -> None:
    """Set each optimizer's learning rate to a share of its greatest, in [0, 1]."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share


def state_of(parameter: nn.Parameter, optimizers: Iterable[Optimizer]) -> dict[str, Tensor]:
    """Return what the parameter's optimizer keeps of it, to read and to change: `momentum_buffer` after a step."""
    owner = next(
        optimizer
        for optimizer in optimizers
        if any(parameter is own for group in optimizer.param_groups for own in group["params"])
    )
    return cast(dict[str, Tensor], owner.state[parameter])


def exponential_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of weights and buffers, which starts with a short memory."""

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return torch.lerp(old, new, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    return AveragedModel(model, avg_fn=average, use_buffers=True)
