"""The table of a training."""

import csv
import dataclasses

import pytest
import torch

from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.history import history_table
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.optimizers import scale_learning_rates
from mnist_edge.training.recipe import PLAIN
from mnist_edge.training.train_state import TrainingConfig


@pytest.mark.parametrize("images", [40, 41, 42])
def test_the_learning_rate_is_that_of_the_last_step(
    images: int, few: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []

    def remember(optimizers: tuple[torch.optim.Optimizer, ...], share: float) -> None:
        shares.append(share)
        scale_learning_rates(optimizers, share)

    monkeypatch.setattr("mnist_edge.training.loop.scale_learning_rates", remember)
    recipe = dataclasses.replace(PLAIN, epochs=2, batch_size=10, lr_schedule="cosine")
    state = TrainingConfig(DATASETS["mnist"].task, "mlp", recipe, 0, few.digest).init_train_state()
    data = dataclasses.replace(few, train=Split(few.train.images[:images], few.train.labels[:images]))
    last = []
    for _ in range(2):
        train_epoch(state, data)
        last.append(recipe.learning_rate * shares[-1])
    rows = csv.DictReader(history_table(state.history, recipe, images).decode().splitlines())
    assert [float(row["learning_rate"]) for row in rows] == last
