"""Labeled images in parts, and the batches that a training loop takes from them."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mnist_edge.artifact.contract import Task
from mnist_edge.training.datasets.record import DataRecord


@dataclass(frozen=True)
class Split(Dataset[tuple[Tensor, Tensor]]):
    """Images with their labels.

    Attributes:
        stored: the images as they were given: uint8, or float32 in the range of the task's input.
        labels: class indices, int64 `[N]`.
    """

    stored: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)

    @cached_property
    def images(self) -> Tensor:
        """The images, float32 `[N, channels, height, width]` in the range of the task's input.

        Bytes are scaled on first use, as torchvision's `ToTensor` scales them: exporting and measuring need no training
        images, which take four times the memory as floats.
        """
        return self.stored.div(255) if self.stored.dtype == torch.uint8 else self.stored

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image `[channels, height, width]` and its label `[]`."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a batch at once: `DataLoader` calls this instead of asking image by image."""
        chosen = torch.tensor(indices)
        return self.images.index_select(0, chosen), self.labels.index_select(0, chosen)


@dataclass(frozen=True)
class TrainingData:
    """What a training may see.

    Attributes:
        train: the images to learn from.
        validation: the last of the training images, held back to measure accuracy while training.
        digest: SHA-256 of the data, as 64 hexadecimal digits: of the pixels and labels of both, or of a folder's files.
        dataset: name of the data set, or the folder, as a checkpoint records it; empty for the data set of the task.
        split_seed: what the parts were drawn from; None where the data set has parts.
        test_counts: test images of each label; empty where they are not known.
        repeated: pictures for validation and testing whose bytes are also among those to learn from.
    """

    train: Split
    validation: Split
    digest: str
    dataset: str = ""
    split_seed: int | None = None
    test_counts: tuple[int, ...] = ()
    repeated: tuple[str, ...] = ()

    def record(self, task: Task) -> DataRecord:
        """Return what a checkpoint of the task records of the data."""
        parts = {"train": self.train, "validation": self.validation}
        counts = {part: count_labels(split.labels, task) for part, split in parts.items()}
        return DataRecord(self.dataset or task.name, self.split_seed, counts | {"test": self.test_counts})


def count_labels(labels: Tensor, task: Task) -> tuple[int, ...]:
    """Return how many of the labels, int64 `[N]`, are each of the task's."""
    return tuple(torch.bincount(labels, minlength=len(task.labels)).tolist())


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return how many batches `batches` gives of so many images."""
    single = images > batch_size and images % batch_size == 1  # over which batch normalization has no variance
    return images // batch_size if single else math.ceil(images / batch_size)


def batches(split: Split, batch_size: int, generator: torch.Generator) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a `DataLoader` of shuffled batches that are sliced from the tensors.

    The order is the one that `DataLoader(..., shuffle=True, generator=generator)` gives over single images; only the
    collating of image by image, which takes six times as long as the arithmetic, is gone. A last batch of a single
    image is left out.
    """
    left_out = steps_per_epoch(len(split), batch_size) * batch_size < len(split)
    return DataLoader(
        split, batch_size=batch_size, shuffle=True, generator=generator, collate_fn=_identity, drop_last=left_out
    )


def _identity(batch: object) -> object:
    return batch
