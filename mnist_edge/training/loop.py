"""The SGD loop: forward, loss, zero_grad, backward, step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.training.augment import augment
from mnist_edge.training.datasets.splits import Split, TrainingData, batches
from mnist_edge.training.train_state import Epoch, TrainState


@dataclass(frozen=True)
class StepResult:
    """The result of one batch: epoch and step are counted from 1, `loss` is that batch's cross-entropy in nats."""

    epoch: int
    step: int
    steps: int
    loss: float


def train_epoch(state: TrainState, data: TrainingData, on_step: Callable[[StepResult], None] = lambda _: None) -> Epoch:
    """Train for one epoch and return its result. `on_step` is called after every batch.

    Raises:
        UserError: the loss is no longer a finite number, as with too great a learning rate.
    """
    recipe, model, optimizer = state.recipe, state.model, state.optimizer
    epoch = len(state.history) + 1
    loader = batches(data.train, recipe.batch_size, state.shuffle_rng)
    criterion = nn.CrossEntropyLoss()
    augmentation = recipe.augmentation_at(epoch)
    losses = []
    model.train()
    for step, (images, labels) in enumerate(loader):
        optimizer.param_groups[0]["lr"] = recipe.learning_rate_at((epoch - 1) * len(loader) + step, len(loader))
        logits = model(augment(images, labels, augmentation, state.augment_rng))
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if state.ema is not None:
            state.ema.update_parameters(model)
        losses.append(loss.item())
        on_step(StepResult(epoch, step + 1, len(loader), losses[-1]))
    if not math.isfinite(sum(losses)):
        raise UserError(f"the loss became {sum(losses)} in epoch {epoch}: choose a smaller --learning-rate")
    state.history.append(Epoch(epoch, sum(losses) / len(losses), accuracy(state.eval_model, data.validation)))
    return state.history[-1]


def predict_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, float32 `[N, labels]`, of images in `eval()` and under `no_grad`, in batches of 1,000."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(batch) for batch in torch.split(images, 1_000)])


def accuracy(model: nn.Module, split: Split) -> float:
    """Return the share of `split` that `model` answers correctly, in [0, 1]."""
    return (predict_logits(model, split.images).argmax(dim=1) == split.labels).double().mean().item()
