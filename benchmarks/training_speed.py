"""Measure the budgets of the training, side by side in one run, and print each ratio beside its limit.

1. An epoch of `plain` against the same loop over torchvision's per-sample `ToTensor` and a plain `DataLoader`: at most
   1/5 of the time, with the same losses for the same order of images.
2. An epoch of `robust` against the same epoch without augmentation, at batch 128: at most 4 times.

    python benchmarks/training_speed.py [--images 55000] [--repeats 3]
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.augment import Augmentation
from mnist_edge.training.datasets.registry import DATASETS, load_training_data
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.recipe import PLAIN, Recipe, recipe_for
from mnist_edge.training.train_state import init_train_state

DATA = Path(__file__).parent.parent / "data"
TASK = DATASETS["mnist"].task
PLAIN_BAR = 1 / 5
ROBUST_BAR = 4.0


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def our_epoch(recipe: Recipe, data: TrainingData) -> list[float]:
    """Train an epoch with the project's loop and return its losses."""
    losses: list[float] = []
    state = init_train_state(build_model("mlp", TASK), recipe, seed=0)
    train_epoch(state, data, lambda step: losses.append(step.loss))
    return losses


def textbook_epoch(dataset: Subset[object]) -> list[float]:
    """Train an epoch of `plain` as the tutorials write it and return its losses."""
    loader = DataLoader(dataset, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(0))
    model = build_model("mlp", TASK)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=PLAIN.learning_rate)
    losses = []
    model.train()
    for batch, labels in loader:
        loss = criterion(model(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def measure(images: int, repeats: int) -> tuple[list[float], list[float], bool]:
    """Return the two ratios of each of `repeats` alternating runs, and whether the losses were the same."""
    data = load_training_data(TASK.name, DATA)
    data = dataclasses.replace(data, train=Split(data.train.images[:images], data.train.labels[:images]))
    dataset: Subset[object] = Subset(MNIST(DATA, train=True, download=True, transform=ToTensor()), range(images))
    robust = recipe_for("robust", "mlp")
    bare = dataclasses.replace(robust, batch_size=128, augmentation=Augmentation())
    changed = dataclasses.replace(robust, batch_size=128)
    same = our_epoch(PLAIN, data) == textbook_epoch(dataset)
    plain, changes = [], []
    for _ in range(repeats):
        plain.append(seconds(lambda: our_epoch(PLAIN, data)) / seconds(lambda: textbook_epoch(dataset)))
        changes.append(seconds(lambda: our_epoch(changed, data)) / seconds(lambda: our_epoch(bare, data)))
    return plain, changes, same


def main() -> int:
    """Print the medians; return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description="Measure the training's budgets.")
    parser.add_argument("--images", type=int, default=55_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ratios, robust_ratios, same = measure(arguments.images, arguments.repeats)
    plain, changes = statistics.median(ratios), statistics.median(robust_ratios)
    print(f"plain, epoch against per-sample ToTensor:   {plain:.3f}   bar {PLAIN_BAR:.3f}")
    print(f"plain, losses the same for the same order:  {same}")
    print(f"robust, epoch against no augmentation:      {changes:.2f}    bar {ROBUST_BAR:.2f}")
    return int(plain > PLAIN_BAR or changes > ROBUST_BAR or not same)


if __name__ == "__main__":
    sys.exit(main())
