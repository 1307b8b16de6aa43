"""The normalization that a network was trained with, as a layer of it, so that it takes images in [0, 1]."""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.types import Images

WEIGHT, BIAS = "prepare.normalize.weight", "prepare.normalize.bias"
"""Names of the layer's weights in the network that it is a part of."""


@dataclass(frozen=True)
class Normalization:
    """What torchvision's `Normalize(mean, std)` does: (image - mean) / std.

    Attributes:
        mean: for each channel, finite.
        std: the same, more than 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], channels: int) -> "Normalization":
        """Return the normalization of images with so many channels; a single number is for all of them.

        Raises:
            UserError: there are more or fewer numbers, or they are out of range.
        """
        for name, values in (("mean", mean), ("standard deviation", std)):
            if len(values) not in (1, channels):
                each = f" or {channels}, one for each channel" if channels > 1 else ""
                raise UserError(f"there are {len(values)} numbers for the {name}, expected 1{each}")
            if not all(map(math.isfinite, values)):
                raise UserError(f"the {name} is {', '.join(map(str, values))}, expected finite numbers")
        if min(std) <= 0:
            raise UserError(f"the standard deviation is {min(std):g}, expected more than 0")
        return cls(*(tuple(map(float, values)) * (channels if len(values) == 1 else 1) for values in (mean, std)))

    @classmethod
    def given(
        cls, mean: float | Sequence[float] | None, std: float | Sequence[float] | None, channels: int
    ) -> "Normalization | None":
        """Return the normalization by a number or one for each channel, or None where neither is given.

        They may be tensors or arrays of any shape, too, or whatever else gives numbers one by one.

        Raises:
            UserError: one is given without the other, holds something else than numbers, or as `of`.
        """
        if mean is None:
            if std is None:
                return None
            raise UserError("there is std without mean: give mean too; 0 if the images were only scaled")
        if std is None:
            raise UserError("there is mean without std: give std too; 1 if the images were only centered")
        return cls.of(_numbers(mean, "mean"), _numbers(std, "std"), channels)

    @classmethod
    def stored_in(cls, weights: Mapping[str, Tensor]) -> "Normalization | None":
        """Return the normalization of the network that has these weights, or None where it has none.

        What a damaged file holds there is found out by whoever runs the network.
        """
        if not {WEIGHT, BIAS} <= set(weights):
            return None
        weight, bias = (weights[name].double().flatten() for name in (WEIGHT, BIAS))
        return cls(tuple((-bias / weight).tolist()), tuple((1 / weight).tolist()))

    def applied(self, images: Images) -> Images:
        """Return images, `[N, channels, …]`, normalized, in float32."""
        mean, std = (np.reshape(values, (-1, *[1] * (images.ndim - 2))) for values in (self.mean, self.std))
        return np.asarray((images - mean) / std, np.float32)

    def layer(self) -> nn.Module:
        """Return a 1×1 convolution of each channel by itself: image · (1 / std) - mean / std.

        It is an exact part of the network whatever comes behind it: folded into the weights of a convolution with zero
        padding it would not be, since what is padded there is 0 after the normalization. And it is a layer that every
        format has, and whose weights and outputs are compared like those of any other.
        """
        channels = len(self.mean)
        layer = nn.Conv2d(channels, channels, kernel_size=1, groups=channels)
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.std))
        with torch.no_grad():
            layer.weight.copy_((1 / std).reshape(channels, 1, 1, 1))
            assert layer.bias is not None, "a convolution has one unless told otherwise"
            layer.bias.copy_(-mean / std)
        return layer


def _numbers(given: float | Iterable[float], name: str) -> list[float]:
    """Return what a caller gave as numbers; raises `UserError` where it is something else."""
    try:
        # fsum() takes every kind of real number, and unlike float() no text.
        return [math.fsum([value]) for value in np.ravel(np.asarray(_unpacked(given))).tolist()]
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(
            f"{name} can't be read as numbers ({one_line(error)}): give a number, or a list of one for each channel"
        ) from error


def _unpacked(given: object) -> object:
    """Return lists in place of tensors, also of those that learn or that numpy does not have, and of iterators."""
    if isinstance(given, Tensor):
        return given.detach().tolist()
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping | Set | np.ndarray):
        return [_unpacked(each) for each in given]
    return given
