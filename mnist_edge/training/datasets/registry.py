"""The data sets that can be trained on, as data. Importing this imports no PyTorch."""

import importlib
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.types import TensorSpec

if TYPE_CHECKING:
    from mnist_edge.training.datasets.splits import Split, TrainingData

DEFAULT_DATASET = "mnist"
"""The data set of a command that names none."""


@dataclass(frozen=True)
class DatasetSpec:
    """What a data set is.

    Attributes:
        task: what is learned from it.
        module: has `load_training_data(data_dir) -> TrainingData` and `load_test_data(data_dir) -> Split`.
        validation_size: how many of its training images are held back for validation.
        license: SPDX name of its license.
    """

    task: Task
    module: str
    validation_size: int
    license: str


def _handwriting(name: str, *labels: str) -> Task:
    """Return a task of single characters written by hand, white on black."""
    return Task(name, labels, TensorSpec("image", (1, 28, 28)), "mnist/3")


def _gray_28(name: str, *labels: str) -> Task:
    """Return a task of gray images of 28×28 that a picture is scaled to as it is."""
    return Task(name, labels, TensorSpec("image", (1, 28, 28), polarity="as-pictured"), "resize/1")


DATASETS: dict[str, DatasetSpec] = {
    "mnist": DatasetSpec(
        task=_handwriting("mnist", *string.digits),
        module="mnist_edge.training.datasets.mnist",
        validation_size=5_000,
        license="CC-BY-SA-3.0",
    ),
    "fashion-mnist": DatasetSpec(
        task=_gray_28(
            "fashion-mnist",
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        module="mnist_edge.training.datasets.fashion_mnist",
        validation_size=5_000,
        license="MIT",
    ),
    "kmnist": DatasetSpec(
        task=_gray_28("kmnist", "お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を"),
        module="mnist_edge.training.datasets.kmnist",
        validation_size=5_000,
        license="CC-BY-SA-4.0",
    ),
    "emnist-digits": DatasetSpec(
        task=_handwriting("emnist-digits", *string.digits),
        module="mnist_edge.training.datasets.emnist_digits",
        validation_size=40_000,
        license="LicenseRef-NIST-Public-Domain",
    ),
    "emnist-letters": DatasetSpec(
        task=_handwriting("emnist-letters", *string.ascii_lowercase),
        module="mnist_edge.training.datasets.emnist_letters",
        validation_size=20_800,
        license="LicenseRef-NIST-Public-Domain",
    ),
}
"""The data sets, by the name of their task."""


def dataset_spec(name: str) -> DatasetSpec:
    """Return what a data set is.

    Raises:
        UserError: no data set has that name.
    """
    if name not in DATASETS:
        raise UserError(f"unknown data set {name!r}: expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def load_training_data(name: str, data_dir: Path) -> "TrainingData":
    """Read the training images of a data set under `data_dir`, with a part of them held back for validation.

    Raises:
        UserError: no data set has that name, or its files are missing and can't be downloaded, or are damaged.
    """
    data: TrainingData = importlib.import_module(dataset_spec(name).module).load_training_data(data_dir)
    return data


def load_test_data(name: str, data_dir: Path) -> "Split":
    """Read the test images of a data set under `data_dir`.

    Raises:
        UserError: no data set has that name, or its files are missing and can't be downloaded, or are damaged.
    """
    split: Split = importlib.import_module(dataset_spec(name).module).load_test_data(data_dir)
    return split
