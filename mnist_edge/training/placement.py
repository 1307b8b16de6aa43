"""Label-preserving changes to batches of any images: moved by whole pixels, and mirrored."""

import torch
from torch import Generator, Tensor


def place(images: Tensor, translate: float, mirror: float, generator: Generator) -> Tensor:
    """Return images, each moved by whole pixels, and a share of them mirrored left to right.

    Where an image moves away from its edge, the pixels of that edge are repeated.

    Args:
        images: float32 `[N, channels, height, width]`.
        translate: greatest move along each side, as a share of it, in [0, 1].
        mirror: share of the images that are mirrored, in [0, 1].
        generator: all that is drawn is drawn from it.
    """
    count, channels, height, width = images.shape
    rows = _moved(count, height, translate, generator)
    columns = _moved(count, width, translate, generator)
    mirrored = torch.rand(count, 1, generator=generator) < mirror
    columns = torch.where(mirrored, width - 1 - columns, columns)
    image, channel = torch.arange(count).view(-1, 1, 1, 1), torch.arange(channels).view(1, -1, 1, 1)
    return images[image, channel, rows.view(count, 1, height, 1), columns.view(count, 1, 1, width)]


def _moved(count: int, side: int, translate: float, generator: Generator) -> Tensor:
    """Return the place along a side that each pixel is taken from, int64 `[count, side]`."""
    most = round(translate * side)
    by = torch.randint(-most, most + 1, (count, 1), generator=generator)
    return (torch.arange(side) + by).clamp(0, side - 1)
