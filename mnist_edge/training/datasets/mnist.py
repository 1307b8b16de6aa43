"""MNIST as tensors, read by torchvision, in three parts: train, validation and test."""

import contextlib
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import MNIST

from mnist_edge.errors import UserError

VALIDATION_SIZE = 5_000
"""The last images of the training set, held back to measure accuracy while training."""


@dataclass(frozen=True)
class Split(Dataset[tuple[Tensor, Tensor]]):
    """Images with their labels.

    Attributes:
        images: float32 `[N, 1, 28, 28]` in [0, 1], white ink on black, scaled as torchvision's `ToTensor` does.
        labels: int64 `[N]` in 0..9.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image `[1, 28, 28]` and its label `[]`."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a whole batch at once: `DataLoader` calls this instead of asking image by image."""
        chosen = torch.tensor(indices)
        return self.images[chosen], self.labels[chosen]


@dataclass(frozen=True)
class TrainingData:
    """What a training may see.

    Attributes:
        train: 55,000 images to learn from.
        validation: 5,000 images held back, to measure on while training.
        digest: SHA-256 of the pixels and labels of both, as 64 hexadecimal digits.
    """

    train: Split
    validation: Split
    digest: str


def batches(split: Split, batch_size: int, generator: torch.Generator) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a `DataLoader` of shuffled batches that are cut from the tensors whole.

    The order is the one that `DataLoader(..., shuffle=True, generator=generator)` gives over single images; only the
    collating of image by image, which costs six times what the mathematics costs, is gone.
    """
    return DataLoader(split, batch_size=batch_size, shuffle=True, generator=generator, collate_fn=_as_it_is)


def _as_it_is(batch: object) -> object:
    return batch


def load_training_data(data_dir: Path) -> TrainingData:
    """Read the 60,000 training images of MNIST under `data_dir` and hold 5,000 of them back.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    dataset = _open(data_dir, train=True)
    everything = _as_split(dataset)
    cut = len(everything) - VALIDATION_SIZE
    digest = hashlib.sha256(dataset.data.numpy().tobytes() + dataset.targets.numpy().astype("uint8").tobytes())
    return TrainingData(
        train=Split(everything.images[:cut], everything.labels[:cut]),
        validation=Split(everything.images[cut:], everything.labels[cut:]),
        digest=digest.hexdigest(),
    )


def load_test_data(data_dir: Path) -> Split:
    """Read the 10,000 test images of MNIST under `data_dir`.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    return _as_split(_open(data_dir, train=False))


def _open(data_dir: Path, *, train: bool) -> MNIST:
    """Let torchvision find, check, unpack and, where they are missing, download the files."""
    raw = data_dir / "MNIST" / "raw"
    made = [folder for folder in (raw, raw.parent, data_dir) if not folder.exists()]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its download reports go to stdout
            return MNIST(data_dir, train=train, download=True)
    except (RuntimeError, OSError, EOFError, AssertionError, ValueError) as error:
        _remove_empty(made)
        raise UserError(
            f"no MNIST in {raw} ({_first_line(error)}): put the four .gz files of mnist-edge's data/MNIST/raw there "
            "and remove unpacked ones, or name their folder with --data-dir"
        ) from error


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _as_split(dataset: MNIST) -> Split:
    """Scale all images at once, by the same operations as `ToTensor`, which `v2.ToDtype` differs from by a rounding."""
    return Split(dataset.data.unsqueeze(1).to(torch.float32).div(255), dataset.targets)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")
