"""Are the weights in a file those of the checkpoint? The answers to 10,000 images need not tell one that differs."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_HALF = 0.502
"""Rounding to the nearest step moves a weight by half a step, and the arithmetic around it by a little more."""

_FLOAT = 1e-5
"""By how much a float may differ from the checkpoint's, where one is folded into another; relative to the largest."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A weight as a file stores it.

    Attributes:
        values: what it stands for, in the checkpoint's layout.
        step: between two neighbouring values that could be stored, of a shape that broadcasts; 0 for floats.
        edge: where the stored number is the least or greatest there is, so that rounding may have been cut off.
    """

    values: NDArray[np.float32]
    step: NDArray[np.float32]
    edge: NDArray[np.bool_]


def as_float(values: NDArray[np.float32]) -> Stored:
    """Return a weight that is stored as floats."""
    return Stored(values, np.zeros(1, np.float32), np.zeros(1, np.bool_))


def weight_problems(stored: Mapping[str, Stored], model: nn.Module) -> list[str]:
    """Return a line for each of the model's weights that the file lacks or has otherwise.

    Batch normalisation may be folded into the convolution before it.

    Args:
        stored: what the file holds, under the names that the model has for them.
        model: the trained model, in `eval()`.
    """
    plain = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    folded = _folded(model)
    unfolded = {f"{name}.{part}" for name in _normalised(model).values() for part in _NORMALISATION}
    needed = [name for name in plain if name not in unfolded] + [name for name in folded if name not in plain]
    is_folded = any(name in stored for name in folded if name not in plain) or not unfolded & set(stored)
    expected = {**plain, **folded} if is_folded else plain
    names = needed if is_folded else list(plain)
    return [line for name in names for line in _problem(name, stored.get(name), expected[name])]


_NORMALISATION = ("weight", "bias", "running_mean", "running_var")


def _normalised(model: nn.Module) -> dict[str, str]:
    """Return the name of each convolution that batch normalisation follows → the name of that normalisation."""
    modules = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    pairs = itertools.pairwise(modules)
    return {
        first: second
        for (first, convolution), (second, normalisation) in pairs
        if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
    }


def _folded(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return weight and bias of each convolution with the batch normalisation after it folded in."""
    result: dict[str, NDArray[np.float32]] = {}
    for name, normalisation_name in _normalised(model).items():
        convolution, normalisation = model.get_submodule(name), model.get_submodule(normalisation_name)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(normalisation, nn.BatchNorm2d)
        mean, variance = normalisation.running_mean, normalisation.running_var
        assert mean is not None
        assert variance is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            mean,
            variance,
            normalisation.eps,
            normalisation.weight,
            normalisation.bias,
        )
        result |= {f"{name}.weight": weight.detach().numpy(), f"{name}.bias": bias.detach().numpy()}
    return result


def _problem(name: str, stored: Stored | None, expected: NDArray[np.float32]) -> list[str]:
    if stored is None:
        return [f"{name} is not in the file"]
    if stored.values.shape != expected.shape:
        return [f"{name} has shape {list(stored.values.shape)}, the checkpoint's has {list(expected.shape)}"]
    errors = np.abs(stored.values.astype(np.float64) - expected)
    allowed = np.where(stored.edge, 1.0, _HALF) * stored.step + _FLOAT * np.abs(expected).max()
    wrong = ~(errors <= allowed)
    if not wrong.any():
        return []
    where = np.unravel_index(int(np.argmax(np.where(wrong, errors, -1))), expected.shape)
    return [
        f"{int(wrong.sum())} of {wrong.size} values of {name} are not the checkpoint's: "
        f"{list(map(int, where))} is {stored.values[where]:.6g}, expected {expected[where]:.6g}"
    ]
