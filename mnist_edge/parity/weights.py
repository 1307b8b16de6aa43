"""Stored weights against the checkpoint's: one wrong weight may not change any of 10,000 answers."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from mnist_edge.formats.build import StoredTensor
from mnist_edge.parity.layer_trace import trace

_HALF_STEP = 0.502
"""Rounding to the nearest step moves a weight by half a step, and the arithmetic around it by a little more."""

_FLOAT_RTOL = 1e-5
"""By how much a float may differ from the checkpoint's, where one is folded into another; relative to the largest."""


def weight_problems(stored: Mapping[str, StoredTensor], model: nn.Module) -> tuple[str, ...] | None:
    """Return a line for each of the model's weights that the artifact lacks or holds differently.

    Batch normalization may be folded into the layer before it, or be one weight and one bias for each channel, and what
    other layers learn, as group normalization and PReLU, be folded into constants of another name and shape, so that it
    need not be there. Nor need a bias of zeros, which exporters leave out. A parameter of one's own may lie the other
    way round than it was read, since a file does not say whether a factor was the weight of a linear layer: which way
    it multiplies is shown by the answers. None where the artifact folds batch normalization and the model can't be
    traced, so that nobody can say which weights it should hold.

    Args:
        stored: what the artifact holds, under the names that the model has for them.
        model: the trained model, in `eval()`.
    """
    expected = _expected(set(stored), model)
    if expected is None:
        return None
    held = _with_shared(stored, model)
    found = {
        name: values
        for name, values in expected.items()
        if name in held or (_is_kept(name, model) and not (name.endswith("bias") and not values.any()))
    }
    return tuple(
        line
        for name, values in found.items()
        for line in _problem(name, _laid_out(name, held.get(name), values, model), values)
    )


def _with_shared(stored: Mapping[str, StoredTensor], model: nn.Module) -> dict[str, StoredTensor]:
    """Return the stored tensors under each of the names of a parameter that several layers share."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    held = dict(stored)
    for shared in names.values():
        found = next((stored[name] for name in shared if name in stored), None)
        held |= {} if found is None else {name: stored.get(name, found) for name in shared}
    return held


def _expected(names: set[str], model: nn.Module) -> dict[str, NDArray[np.float32]] | None:
    """Return the weights that an artifact with tensors of these names should hold, or None where nobody can say."""
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)}
    kept = {name for name in norms if f"{name}.running_mean" in names}
    if kept == norms:
        return _float_weights(model)
    graph = trace(model)
    return None if graph is None else _folded(graph, norms - kept)


def _folded(graph: fx.GraphModule, norms: set[str]) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a traced model, with these normalizations folded into the layers before them.

    One that stands by itself is one weight and one bias for each channel. `torch.fx.experimental.optimization.fuse`
    also folds those that a file keeps, and can't fold one that has learned nothing into a linear layer.
    """
    modules, weights = dict(graph.named_modules()), _float_weights(graph)
    for node in graph.graph.nodes:
        name = str(node.target)
        norm = modules[name] if node.op == "call_module" and name in norms else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        if norm.running_mean is None or norm.running_var is None:  # it takes them from the batch
            continue
        ones = torch.ones_like(norm.running_var)
        factor = (norm.weight if norm.weight is not None else ones) / torch.sqrt(norm.running_var + norm.eps)
        shift = (norm.bias if norm.bias is not None else 0 * ones) - norm.running_mean * factor
        scale, added = factor.detach().numpy(), shift.detach().numpy()
        weights = {other: values for other, values in weights.items() if not other.startswith(f"{name}.")}
        layer = _layer_before(node, modules, norms)
        weight = weights.get(f"{layer}.weight")
        if weight is not None and len(weight) == len(scale):
            weights[f"{layer}.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            weights[f"{layer}.bias"] = weights.get(f"{layer}.bias", 0 * added) * scale + added
        else:
            weights |= {f"{name}.weight": scale, f"{name}.bias": added}
    return weights


def _layer_before(norm: fx.Node, modules: Mapping[str, nn.Module], norms: set[str]) -> str | None:
    """Return the name of the layer into which exporters fold a normalization, or None where it stands by itself.

    Only dropout and other normalizations that are folded may be between the two, and nothing else may use the values.
    """
    before = norm.all_input_nodes[0]
    while before.op == "call_module" and len(before.users) == 1:
        name, module = str(before.target), modules[str(before.target)]
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            return name
        if name not in norms and not isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            return None
        before = before.all_input_nodes[0]
    return None


def _is_kept(name: str, model: nn.Module) -> bool:
    """Say whether every exporter keeps a weight as it is: those of layers that multiply, and of batch normalization."""
    try:
        layer = model.get_submodule(name.rpartition(".")[0])
    except AttributeError:
        return True
    return isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d)


def _laid_out(
    name: str, stored: StoredTensor | None, expected: NDArray[np.float32], model: nn.Module
) -> StoredTensor | None:
    """Return a weight as it was read, or with its axes in the opposite order if it is one's own and nearer so."""
    if stored is None or stored.dequantized.ndim < 2 or _is_kept(name, model):
        return stored
    fitting = [tensor for tensor in (stored, stored.transposed()) if tensor.dequantized.shape == expected.shape]
    return min(fitting, key=lambda tensor: float(np.abs(tensor.dequantized - expected).max()), default=stored)


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
