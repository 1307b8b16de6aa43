"""Stored weights against the checkpoint's: one wrong weight may not change any of 10,000 answers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.fx.experimental.optimization import fuse

from mnist_edge.formats.build import StoredTensor
from mnist_edge.parity.layer_trace import trace

_HALF_STEP = 0.502
"""Rounding to the nearest step moves a weight by half a step, and the arithmetic around it by a little more."""

_FLOAT_RTOL = 1e-5
"""By how much a float may differ from the checkpoint's, where one is folded into another; relative to the largest."""


def weight_problems(stored: Mapping[str, StoredTensor], model: nn.Module) -> tuple[str, ...] | None:
    """Return a line for each of the model's weights that the artifact lacks or holds differently.

    Batch normalization may be folded into the layer before it, and what other layers learn, as group
    normalization and PReLU, into constants of another name and shape, so that it need not be there. None where the
    artifact folds batch normalization and the model can't be traced, so that nobody can say which weights it should
    hold.

    Args:
        stored: what the artifact holds, under the names that the model has for them.
        model: the trained model, in `eval()`.
    """
    expected = _expected(set(stored), model)
    if expected is None:
        return None
    found = {name: values for name, values in expected.items() if name in stored or _is_kept(name, model)}
    return tuple(line for name, values in found.items() for line in _problem(name, stored.get(name), values))


def _expected(names: set[str], model: nn.Module) -> dict[str, NDArray[np.float32]] | None:
    """Return the weights that an artifact with tensors of these names should hold, or None where nobody can say."""
    plain = _float_weights(model)
    normalization = {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    if normalization <= names:
        return plain
    return None if trace(model) is None else _float_weights(fuse(model))


def _is_kept(name: str, model: nn.Module) -> bool:
    """Say whether every exporter keeps a weight as it is: those of layers that multiply, and of batch normalization."""
    try:
        layer = model.get_submodule(name.rpartition(".")[0])
    except AttributeError:
        return True
    return isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d)


def _float_weights(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def _problem(name: str, stored: StoredTensor | None, expected: NDArray[np.float32]) -> list[str]:
    if stored is None:
        return [f"{name} is not in the file"]
    values = stored.dequantized
    if values.shape != expected.shape:
        return [f"{name} has shape {list(values.shape)}, the checkpoint's has {list(expected.shape)}"]
    errors = np.abs(values.astype(np.float64) - expected)
    allowed = np.where(stored.saturated, 1.0, _HALF_STEP) * stored.step + _FLOAT_RTOL * np.abs(expected).max()
    wrong = ~(errors <= allowed)
    if not wrong.any():
        return []
    where = np.unravel_index(int(np.argmax(np.where(wrong, errors, -1))), expected.shape)
    return [
        f"{int(wrong.sum())} of {wrong.size} values of {name} are not the checkpoint's: "
        f"{list(map(int, where))} is {values[where]:.6g}, expected {expected[where]:.6g}"
    ]
