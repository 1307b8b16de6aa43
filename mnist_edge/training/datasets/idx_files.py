"""Data sets in MNIST's file format (IDX), as files in a folder, or else downloaded by torchvision.

`Split.images` are float32 `[N, 1, height, width]` in [0, 1], scaled as torchvision's `ToTensor` does.
"""

import contextlib
import gzip
import hashlib
import math
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes
from mnist_edge.training.datasets.registry import DATASETS, DatasetSpec
from mnist_edge.training.datasets.splits import Split, TrainingData, count_labels

Bytes = NDArray[np.uint8]

_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error)
"""What gzip and torchvision raise where files are damaged, or can't be downloaded."""


@dataclass(frozen=True)
class IdxSource:
    """How the files of a data set are called, and which class of torchvision downloads them.

    Attributes:
        torchvision: name of the class; the files are in a folder of that name.
        parts: how the names of the training files and of the test files begin.
        arguments: of the class, beside root and part.
        first_label: number of the first label in the files.
        transposed: whether rows and columns of the images are exchanged.
    """

    torchvision: str
    parts: tuple[str, str]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    first_label: int = 0
    transposed: bool = False

    def folders(self, data_dir: Path) -> tuple[Path, ...]:
        """Return where the files may be: where torchvision puts them, or in the folder itself."""
        return data_dir / self.torchvision / "raw", data_dir / self.torchvision, data_dir


def load_training_data(name: str, source: IdxSource, data_dir: Path) -> TrainingData:
    """Read the training images of a data set of the registry; the last of them are for validation.

    Raises:
        UserError: the files are missing and can't be downloaded, or are damaged.
    """
    spec = DATASETS[name]
    pixels, labels = _load(spec, source, data_dir, train=True)
    everything = as_split(pixels, labels)
    cut = len(everything) - spec.validation_size
    return TrainingData(
        train=Split(everything.stored[:cut], everything.labels[:cut]),
        validation=Split(everything.stored[cut:], everything.labels[cut:]),
        digest=digest_of(pixels, labels),
        test_counts=count_labels(load_test_data(name, source, data_dir).labels, spec.task),
    )


def load_test_data(name: str, source: IdxSource, data_dir: Path) -> Split:
    """Read the test images of a data set of the registry; raises as `load_training_data` does."""
    return as_split(*_load(DATASETS[name], source, data_dir, train=False))


def as_split(pixels: Bytes, labels: Bytes) -> Split:
    """Return the images of a file, `[N, height, width]`, with the labels of another."""
    return Split(torch.tensor(pixels).unsqueeze(1), torch.tensor(labels).long())


def digest_of(pixels: Bytes, labels: Bytes) -> str:
    """Return the SHA-256 of the bytes of two files, one behind the other, as 64 hexadecimal digits."""
    digest = hashlib.sha256(pixels.data)
    digest.update(labels.data)
    return digest.hexdigest()


def _load(spec: DatasetSpec, source: IdxSource, data_dir: Path, *, train: bool) -> tuple[Bytes, Bytes]:
    names = [f"{source.parts[0 if train else 1]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
    paths = _find(names, source, data_dir)
    if paths is None:
        _download(names, source, data_dir, train=train)
        paths = _find(names, source, data_dir)
    if paths is None:
        raise _missing(names, source, data_dir, "torchvision gave others")
    pixels, labels = (read_idx(path, dimensions) for path, dimensions in zip(paths, (3, 1), strict=True))
    if source.transposed:
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1))
    labels = labels - np.uint8(source.first_label)
    _check(paths[0], pixels, labels, spec, at_least=spec.validation_size + 1 if train else 1)
    return pixels, labels


def _find(names: list[str], source: IdxSource, data_dir: Path) -> list[Path] | None:
    """Return the files of these names, packed or not, in the first folder that has all of them."""
    for folder in source.folders(data_dir):
        found = [next((p for p in (folder / f"{name}.gz", folder / name) if p.exists()), None) for name in names]
        if all(found):
            return [path for path in found if path]
    return None


def _download(names: list[str], source: IdxSource, data_dir: Path, *, train: bool) -> None:
    import torchvision.datasets  # takes over a second, and most often the files are there

    created = [folder for folder in source.folders(data_dir) if not folder.exists()]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # reports of the download
            getattr(torchvision.datasets, source.torchvision)(data_dir, train=train, download=True, **source.arguments)
    except _UNREADABLE as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise _missing(names, source, data_dir, f"can't be downloaded ({lines[-1]})") from error
    finally:
        for folder in created:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def _missing(names: list[str], source: IdxSource, data_dir: Path, reason: str) -> UserError:
    files = " and ".join(f"{name}.gz" for name in names)
    return UserError(
        f"no {source.torchvision} in {data_dir}: {files} are missing there and in {source.torchvision}/raw, and "
        f"{reason}: name with --data-dir the folder that has them"
    )


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Return the array of an IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist).

    Raises:
        UserError: it can't be read, or is not such a file.
    """
    data = read_bytes(path)
    try:
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except _UNREADABLE as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): put the data set's own file in its place") from error
    head = 4 + 4 * dimensions
    sizes = [int.from_bytes(data[start : start + 4], "big") for start in range(4, head, 4)]
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) != head + math.prod(sizes):
        raise UserError(
            f"{path} is not an IDX file of bytes in {dimensions} dimensions, or is truncated: put the data set's own "
            "file in its place"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(sizes)


def _check(path: Path, pixels: Bytes, labels: Bytes, spec: DatasetSpec, at_least: int) -> None:
    """Raise `UserError` where files that were read are not what the task says."""
    if (1, *pixels.shape[1:]) != spec.task.input.shape:
        size, expected = (" × ".join(map(str, sides)) for sides in (pixels.shape[1:], spec.task.input.shape[1:]))
        raise UserError(f"the images of {path} are {size} pixels, expected {expected}")
    if len(pixels) != len(labels) or len(labels) < at_least:
        found = f"{len(pixels):,} images and {len(labels):,} labels"
        raise UserError(f"{path} and its labels have {found}, expected {at_least:,} or more of each")
    if int(labels.max()) >= len(spec.task.labels):
        raise UserError(f"a label beside {path} is {int(labels.max())}, expected 0 to {len(spec.task.labels) - 1}")
