"""Labeled images in parts, and the batches that a training loop takes from them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


@dataclass(frozen=True)
class Split(Dataset[tuple[Tensor, Tensor]]):
    """Images with their labels.

    Attributes:
        images: float32 `[N, channels, height, width]` in the range of the task's input.
        labels: class indices, int64 `[N]`.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image `[channels, height, width]` and its label `[]`."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a batch at once: `DataLoader` calls this instead of asking image by image."""
        chosen = torch.tensor(indices)
        return self.images[chosen], self.labels[chosen]


@dataclass(frozen=True)
class TrainingData:
    """What a training may see.

    Attributes:
        train: the images to learn from.
        validation: the last of the training images, held back to measure accuracy while training.
        digest: SHA-256 of the pixels and labels of both, as 64 hexadecimal digits.
    """

    train: Split
    validation: Split
    digest: str


def batches(split: Split, batch_size: int, generator: torch.Generator) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a `DataLoader` of shuffled batches that are sliced from the tensors.

    The order is the one that `DataLoader(..., shuffle=True, generator=generator)` gives over single images; only the
    collating of image by image, which takes six times as long as the arithmetic, is gone.
    """
    return DataLoader(split, batch_size=batch_size, shuffle=True, generator=generator, collate_fn=_identity)


def _identity(batch: object) -> object:
    return batch
