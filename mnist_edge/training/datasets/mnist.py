"""MNIST as tensors, read by torchvision.

Images are float32 `[N, 1, 28, 28]` in [0, 1], white ink on black, scaled as torchvision's `ToTensor` does.
"""

import contextlib
import hashlib
import sys
from pathlib import Path

import torch
from torchvision.datasets import MNIST

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData


def load_training_data(data_dir: Path) -> TrainingData:
    """Read the 60,000 training images of MNIST under `data_dir`; the last 5,000 are for validation.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    dataset = _open(data_dir, train=True)
    everything = _as_split(dataset)
    cut = len(everything) - DATASETS["mnist"].validation_size
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
    created = [folder for folder in (raw, raw.parent, data_dir) if not folder.exists()]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its download reports go to stdout
            return MNIST(data_dir, train=train, download=True)
    except (RuntimeError, OSError, EOFError, AssertionError, ValueError) as error:
        _remove_empty(created)
        raise UserError(
            f"no MNIST in {raw} ({_reason(error)}): put the four .gz files of mnist-edge's data/MNIST/raw there "
            "and remove unpacked ones, or name their folder with --data-dir"
        ) from error


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _as_split(dataset: MNIST) -> Split:
    """Scale all images at once, by the same operations as `ToTensor`, which `v2.ToDtype` differs from by a rounding."""
    return Split(dataset.data.unsqueeze(1).to(torch.float32).div(255), dataset.targets)


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")
