"""The SGD loop: forward, loss, zero_grad, backward, step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.training.data import Split, TrainingData, batches
from mnist_edge.training.recipe import Recipe


@dataclass(frozen=True)
class Step:
    """Where a training stands after one batch: epoch and step count from 1, `loss` is that batch's cross-entropy."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        loss: mean cross-entropy in nats over the epoch's batches, measured while they were learnt from.
        accuracy: share of the validation images answered rightly after the epoch, in [0, 1].
    """

    epoch: int
    loss: float
    accuracy: float


def train(
    model: nn.Module,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    on_step: Callable[[Step], None] = lambda _: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train `model` in place and return what each epoch came to.

    The order of the images is drawn from `seed` alone. `on_step` hears of every batch, `on_epoch` of every epoch.

    Raises:
        UserError: the loss is no longer a number, as with too great a learning rate.
    """
    loader = batches(data.train, recipe.batch_size, torch.Generator().manual_seed(seed))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    history = []
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        losses = []
        for step, (images, labels) in enumerate(loader, start=1):
            logits = model(images)
            loss = criterion(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            on_step(Step(epoch, step, len(loader), losses[-1]))
        if not math.isfinite(sum(losses)):
            raise UserError(f"the loss became {sum(losses)} in epoch {epoch}: choose a smaller --learning-rate")
        history.append(Epoch(epoch, sum(losses) / len(losses), accuracy(model, data.validation)))
        on_epoch(history[-1])
    return history


def accuracy(model: nn.Module, split: Split) -> float:
    """Return the share of `split` that `model` answers rightly, in [0, 1], in `eval()` and under `no_grad`."""
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(images).argmax(dim=1) for images in torch.split(split.images, 1_000)])
    return (answers == split.labels).double().mean().item()
