"""The SGD loop: forward, loss, zero_grad, backward, step."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Generator, Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.training.augment import Augmentation, augment
from mnist_edge.training.datasets.splits import Split, TrainingData, batches
from mnist_edge.training.distillation import distillation_loss, soft_targets
from mnist_edge.training.optimizers import scale_learning_rates
from mnist_edge.training.outliers import NOT_A_DIGIT, draw_outliers, exposure_loss
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.train_state import Epoch, TrainState


@dataclass(frozen=True)
class StepResult:
    """The result of one batch: epoch and step are counted from 1, `loss` is that batch's loss in nats."""

    epoch: int
    step: int
    steps: int
    loss: float


def train_epoch(
    state: TrainState,
    data: TrainingData,
    on_step: Callable[[StepResult], None] = lambda _: None,
    teachers: Sequence[nn.Module] = (),
) -> Epoch:
    """Train for one epoch and return its result.

    Args:
        state: what the epoch changes.
        data: what is learned, and measured on.
        on_step: is called after every batch.
        teachers: models in `eval()` that a recipe with `distillation_weight` learns from, on the device of the model.

    Raises:
        UserError: the loss is no longer a finite number, as with too great a learning rate.
    """
    recipe, model = state.recipe, state.model
    epoch = len(state.history) + 1
    loader = batches(data.train, recipe.batch_size, state.shuffle_rng)
    augmentation = recipe.augmentation_at(epoch)
    losses = []
    model.train()
    with _seeded(state.shuffle_rng):
        for step, (images, labels) in enumerate(loader):
            share = recipe.learning_rate_share_at((epoch - 1) * len(loader) + step, len(loader))
            scale_learning_rates(state.optimizers, share)
            batch = _drawn(images, labels, recipe, augmentation, state.augment_rng)
            loss = _loss(model, batch, recipe, teachers)
            model.zero_grad()
            loss.backward()
            for optimizer in state.optimizers:
                optimizer.step()
            if state.ema is not None:
                state.ema.update_parameters(model)
            losses.append(loss.item())
            on_step(StepResult(epoch, step + 1, len(loader), losses[-1]))
    if not math.isfinite(sum(losses)):
        raise UserError(f"the loss became {sum(losses)} in epoch {epoch}: choose a smaller --learning-rate")
    state.history.append(Epoch(epoch, sum(losses) / len(losses), accuracy(state.eval_model, data.validation)))
    return state.history[-1]


@contextlib.contextmanager
def _seeded(generator: Generator) -> Iterator[None]:
    """Let layers that draw from torch's global generator, as dropout does, depend on the state of another alone."""
    copied = Generator().set_state(generator.get_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=copied)))
        yield


@dataclass(frozen=True)
class _Batch:
    """Images as they are learned from: the digits, augmented, with their labels, and behind them the outliers."""

    images: Tensor
    labels: Tensor


def _drawn(images: Tensor, labels: Tensor, recipe: Recipe, augmentation: Augmentation, generator: Generator) -> _Batch:
    outliers = round(recipe.outlier_share * len(images)) if recipe.outlier_weight and len(images) > 1 else 0
    if not outliers:
        return _Batch(augment(images, labels, augmentation, generator), labels)
    everything = torch.cat([images, draw_outliers(images, labels, outliers, generator)])
    marked = torch.cat([labels, torch.full((outliers,), NOT_A_DIGIT)])
    return _Batch(augment(everything, marked, augmentation, generator), labels)


def _loss(model: nn.Module, batch: _Batch, recipe: Recipe, teachers: Sequence[nn.Module]) -> Tensor:
    """Return the loss of a batch in nats: that of the digits, and the recipe's share of that of the outliers."""
    device, digits = device_of(model), len(batch.labels)
    images = batch.images.to(device)
    logits = model(images)
    loss = F.cross_entropy(logits[:digits], batch.labels.to(device))
    if recipe.distillation_weight:
        weight, temperature = recipe.distillation_weight, recipe.distillation_temperature
        targets = soft_targets(teachers, images[:digits], temperature)
        loss = (1 - weight) * loss + weight * distillation_loss(logits[:digits], targets, temperature)
    if digits < len(images):
        loss = loss + recipe.outlier_weight * exposure_loss(logits[digits:])
    return loss


def predict_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, float32 `[N, labels]`, of images in `eval()` and under `no_grad`, in batches of 1,000.

    Images and logits are on the CPU, wherever the model is.
    """
    model.eval()
    device = device_of(model)
    with torch.no_grad():
        return torch.cat([model(batch.to(device)).cpu() for batch in torch.split(images, 1_000)])


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's weights."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def accuracy(model: nn.Module, split: Split) -> float:
    """Return the share of `split` that `model` answers correctly, in [0, 1]."""
    return (predict_logits(model, split.images).argmax(dim=1) == split.labels).double().mean().item()
