"""MNIST as tensors, from its four files, which torchvision downloads where they are missing.

`Split.images` are float32 `[N, 1, 28, 28]` in [0, 1], white ink on black, scaled as torchvision's `ToTensor` does.
"""

import contextlib
import pickle
import sys
import zlib
from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.locks import locked
from mnist_edge.training.datasets.idx_files import Bytes, as_split, digest_of, read_idx
from mnist_edge.training.datasets.mnist_files import FILES, missing, raw_folder, unpack
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData, count_labels

_NOT_MNIST = (
    *(RuntimeError, OSError, EOFError, AssertionError, ValueError, KeyError, TypeError),
    *(zlib.error, pickle.UnpicklingError),
)
"""What torchvision raises on files that are missing, damaged or not MNIST."""


ADVICE = (
    "put the four .gz files of mnist-edge's data/MNIST/raw there and remove unpacked ones, "
    "or name with --data-dir the folder that holds MNIST/raw"
)
"""What to do where there is no MNIST."""


def load_training_data(data_dir: Path) -> TrainingData:
    """Read the 60,000 training images of MNIST under `data_dir`; the last 5,000 are for validation.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    pixels, labels = _open(data_dir, train=True)
    everything = as_split(pixels, labels)
    cut = len(everything) - DATASETS["mnist"].validation_size
    return TrainingData(
        train=Split(everything.stored[:cut], everything.labels[:cut]),
        validation=Split(everything.stored[cut:], everything.labels[cut:]),
        digest=digest_of(pixels, labels),
        test_counts=count_labels(load_test_data(data_dir).labels, DATASETS["mnist"].task),
    )


def load_test_data(data_dir: Path) -> Split:
    """Read the 10,000 test images of MNIST under `data_dir`.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    return as_split(*_open(data_dir, train=False))


def _open(data_dir: Path, *, train: bool) -> tuple[Bytes, Bytes]:
    """Find, check, unpack and, where they are missing, download the files; several processes may do so at once."""
    raw = raw_folder(data_dir)
    created = [folder for folder in (raw, raw.parent, data_dir) if not folder.exists()]
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with locked(raw):
            unpack(data_dir)
            if missing(data_dir):
                _download(data_dir)
        part = "train" if train else "t10k"
        pixels, labels = read_idx(raw / f"{part}-images-idx3-ubyte", 3), read_idx(raw / f"{part}-labels-idx1-ubyte", 1)
        _check(pixels, labels, at_least=DATASETS["mnist"].validation_size + 1 if train else 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{_cause(data_dir, error)}: {ADVICE}") from error
    finally:
        for folder in created:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
    return pixels, labels


def _cause(data_dir: Path, error: Exception) -> str:
    """Say why there is no MNIST: files that are missing, or what reading them raised."""
    raw = raw_folder(data_dir)
    absent = missing(data_dir)
    if not absent:
        return f"no MNIST in {raw} ({_reason(error)})"
    what = (
        "the four files are"
        if len(absent) == len(FILES)
        else f"{' and '.join(absent)} " + ("are" if absent[1:] else "is")
    )
    return f"no MNIST in {raw}: {what} missing and can't be downloaded ({_reason(error)})"


def _download(data_dir: Path) -> None:
    """Let torchvision download the files; raises `ValueError` where it can't."""
    from torchvision.datasets import MNIST  # takes over a second, and most often the files are there

    try:
        with contextlib.redirect_stdout(sys.stderr):  # its reports go to stdout
            MNIST(data_dir, download=True)
    except _NOT_MNIST as error:
        raise ValueError(_reason(error)) from error


def _check(pixels: Bytes, labels: Bytes, at_least: int) -> None:
    """Raise `ValueError` where files that were read are not what MNIST's task says."""
    task = DATASETS["mnist"].task
    if (1, *pixels.shape[1:]) != task.input.shape:
        size = " × ".join(map(str, pixels.shape[1:]))
        raise ValueError(f"its images are {size}, expected {' × '.join(map(str, task.input.shape[1:]))} bytes")
    if len(pixels) != len(labels) or len(pixels) < at_least:
        raise ValueError(f"{len(pixels):,} images and {len(labels):,} labels, expected {at_least:,} or more of each")
    if int(labels.max()) >= len(task.labels):
        raise ValueError(f"a label is {int(labels.max())}, expected 0 to {len(task.labels) - 1}")


def _reason(error: BaseException) -> str:
    """Return the first line of an error; of torchvision's list of failed downloads, the last, which has the cause."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].startswith("Error downloading") else 0].rstrip(".: ")
