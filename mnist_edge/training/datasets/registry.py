"""The data sets that can be trained on, as data. Importing this imports no PyTorch."""

import importlib
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


DATASETS: dict[str, DatasetSpec] = {
    "mnist": DatasetSpec(
        task=Task(
            name="mnist",
            labels=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
            input=TensorSpec(name="image", shape=(1, 28, 28)),
            preprocessing="mnist/3",
        ),
        module="mnist_edge.training.datasets.mnist",
        validation_size=5_000,
        license="CC-BY-SA-3.0",
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
