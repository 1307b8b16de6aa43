"""What is read in a header: its layers, its weights, and the file without its metadata."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.formats.build import Inspection, ModelSummary, StoredTensor, float_tensor
from mnist_edge.formats.c.header import network_json, stored
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.runner import Runner
from mnist_edge.types import AnyArray


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in a header; see `mnist_edge.formats.build.Inspector`."""
    return inspection_of(read(bundle).network, runner.contract)


def inspection_of(network: Network, contract: Contract) -> Inspection:
    """Return what can be read in a network, whatever it is stored in."""
    channels, height, width = contract.task.input.shape
    weights = stored_weights(network, (height, width, channels))
    operators = Counter(layer.kind for layer in network.layers)
    operators.update("ReLU" for layer in network.layers if layer.relu)
    arrays = {
        f"{layer.name}.{name}": (str(numbers.dtype), numbers.shape)
        for layer in network.layers
        for name, numbers in stored(layer).items()
    }
    parameters = sum(tensor.dequantized.size for tensor in weights.values())
    return Inspection(ModelSummary(dict(operators), parameters, arrays), weights, ())


def stored_weights(network: Network, shape: tuple[int, int, int]) -> dict[str, StoredTensor]:
    """Return weight and bias of each layer, under the trained model's names and in its layout.

    Args:
        network: with its numbers.
        shape: of an image: height, width, channels.
    """
    result = {}
    for layer, step in zip(network.layers, network.input_steps, strict=True):
        if layer.has_weights:
            assert layer.weights is not None
            assert layer.bias is not None
            steps = _weight_steps(layer, step)
            groups = layer.groups
            weights = layer.weights.astype(np.float64)
            if steps is None:
                result[f"{layer.name}.weight"] = float_tensor(_as_trained(layer, layer.weights, shape))
                result[f"{layer.name}.bias"] = float_tensor(layer.bias)
            else:
                spread = np.broadcast_to(steps.reshape(groups, 1, 1, 1, -1), weights.shape)
                dequantized, sizes, levels = (
                    _as_trained(layer, numbers, shape) for numbers in (weights * spread, spread, layer.weights)
                )
                result[f"{layer.name}.weight"] = StoredTensor(
                    dequantized.astype(np.float32), sizes.astype(np.float32), np.abs(levels) == 127
                )
                result[f"{layer.name}.bias"] = StoredTensor(
                    (layer.bias * steps * step).astype(np.float32),
                    (steps * step).astype(np.float32),
                    np.zeros(1, np.bool_),
                )
        shape = layer.window.outputs
    return result


def _weight_steps(layer: Layer, input_step: float) -> AnyArray | None:
    """Return what one step of the weights of each output stands for, or None where they are floats."""
    if layer.scales is not None:
        return layer.scales.astype(np.float64) / input_step
    if layer.multipliers is not None:
        return layer.multipliers.astype(np.float64) / 2.0 ** (32 + layer.shift) * layer.step / input_step
    return None


def _as_trained(layer: Layer, numbers: AnyArray, before: tuple[int, int, int]) -> AnyArray:
    """Return numbers `[groups, kernel height, kernel width, inputs, outputs]` in the layout that torch has for them.

    Args:
        layer: whose they are.
        numbers: one for each weight.
        before: height, width and channels of what comes before a linear layer.
    """
    if layer.kind == "Linear":
        height, width, channels = before
        rows = numbers.reshape(height, width, channels, -1)
        return np.ascontiguousarray(rows.transpose(3, 2, 0, 1).reshape(rows.shape[3], -1))
    if layer.kind == "BatchNorm":
        return numbers.reshape(-1)
    groups, height, width, inputs, outputs = numbers.shape
    flat = numbers.transpose(0, 4, 3, 1, 2).reshape(groups * outputs, inputs, height, width)
    return np.ascontiguousarray(flat)


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return a header's layers and numbers, without its metadata; see `mnist_edge.formats.build.Inspector`.

    The C around them follows from these and the contract, which reading a header checks byte for byte.
    """
    network = read(bundle).network
    numbers = {
        f"{number} {layer.name}.{name}": array.tobytes()
        for number, layer in enumerate(network.layers, 1)
        for name, array in stored(layer).items()
    }
    return {"network": network_json(network).encode(), **numbers}
