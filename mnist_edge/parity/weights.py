"""Are the weights in a file those of the checkpoint? The answers to 10,000 images need not tell one that differs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mnist_edge.parity.layer_trace import chain

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
    expected = plain if (set(plain) - set(folded)) & set(stored) else folded
    return [line for name, values in expected.items() for line in _problem(name, stored.get(name), values)]


def _folded(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return weight and bias of each layer, with the batch normalisation that follows it folded in."""
    layers = {step.name: step.layer for step in chain(model) if step.layer is not None}
    return {
        f"{name}.{part}": parameter.detach().numpy()
        for name, layer in layers.items()
        for part, parameter in layer.named_parameters()
    }


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
