"""The SGD loop: forward, loss, zero_grad, backward, step."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mnist_edge.errors import UserError
from mnist_edge.training.augment import augment
from mnist_edge.training.datasets.mnist import Split, TrainingData, batches
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
        loss: mean cross-entropy in nats over the epoch's batches, as augmented, measured while they were learnt from.
        accuracy: share of the validation images answered rightly after the epoch, in [0, 1].
    """

    epoch: int
    loss: float
    accuracy: float


@dataclass
class Training:
    """A training under way: what one epoch changes and the next one needs.

    Attributes:
        model: the weights that SGD moves.
        recipe: how.
        optimizer: SGD with its momentum.
        average: the moving average of the weights, or None where the recipe has none.
        order: draws the order of the images.
        draws: draws the augmentation.
        history: what each finished epoch came to.
    """

    model: nn.Module
    recipe: Recipe
    optimizer: torch.optim.SGD
    average: AveragedModel | None
    order: Generator
    draws: Generator
    history: list[Epoch] = field(default_factory=list)

    @property
    def result(self) -> nn.Module:
        """The model that the training is for: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module


def begin(model: nn.Module, recipe: Recipe, seed: int) -> Training:
    """Return a training of `model`, in place, before its first epoch; all it draws is drawn from `seed`."""
    model.to(memory_format=torch.channels_last)  # convolutions take a tenth less time
    return Training(
        model=model,
        recipe=recipe,
        optimizer=torch.optim.SGD(
            model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        ),
        average=_averaged(model, recipe.average) if recipe.average else None,
        order=Generator().manual_seed(seed),
        draws=Generator().manual_seed(seed + 1),
    )


def _averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of weights and buffers, which starts with a short memory."""

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return torch.lerp(old, new, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    return AveragedModel(model, avg_fn=average, use_buffers=True)


def train_epoch(training: Training, data: TrainingData, on_step: Callable[[Step], None] = lambda _: None) -> Epoch:
    """Train for one epoch and return what it came to. `on_step` hears of every batch.

    Raises:
        UserError: the loss is no longer a number, as with too great a learning rate.
    """
    recipe, model, optimizer = training.recipe, training.model, training.optimizer
    epoch = len(training.history) + 1
    loader = batches(data.train, recipe.batch_size, training.order)
    criterion = nn.CrossEntropyLoss()
    changes = recipe.augmentation_in(epoch)
    losses = []
    model.train()
    for step, (images, labels) in enumerate(loader):
        optimizer.param_groups[0]["lr"] = recipe.step_size((epoch - 1) * len(loader) + step, len(loader))
        logits = model(augment(images, labels, changes, training.draws))
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if training.average is not None:
            training.average.update_parameters(model)
        losses.append(loss.item())
        on_step(Step(epoch, step + 1, len(loader), losses[-1]))
    if not math.isfinite(sum(losses)):
        raise UserError(f"the loss became {sum(losses)} in epoch {epoch}: choose a smaller --learning-rate")
    training.history.append(Epoch(epoch, sum(losses) / len(losses), accuracy(training.result, data.validation)))
    return training.history[-1]


def answer(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, float32 `[N, 10]`, of images in `eval()` and under `no_grad`, in batches of 1,000."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(batch) for batch in torch.split(images, 1_000)])


def accuracy(model: nn.Module, split: Split) -> float:
    """Return the share of `split` that `model` answers rightly, in [0, 1]."""
    return (answer(model, split.images).argmax(dim=1) == split.labels).double().mean().item()
