"""Trained model → a chain of layers in double precision: normalization and ReLU become part of their neighbors."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c.network import Layer, Network, Window, check_chain, pixel
from mnist_edge.formats.c.tracing import SizedFlatten, modules_of, refused
from mnist_edge.types import TensorSpec

Sides = int | Sequence[int]
"""A number for both height and width, or one for each, as torch takes it."""

_DROPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Identity)
"""Modules that do nothing outside training."""


@dataclass(frozen=True)
class _Chain:
    """What was lowered so far.

    Attributes:
        layers: with weights in double precision.
        shape: of the values: channels, height, width.
        flat: whether they are flattened, in the order channels, height, width.
    """

    layers: tuple[Layer, ...]
    shape: tuple[int, int, int]
    flat: bool = False


def lower(model: nn.Module, tensor: TensorSpec) -> Network:
    """Return a model in `eval()` as a chain of layers, weights in double precision, for inputs of that kind.

    Raises:
        UserError: it has a layer that can't be written, or is not a chain.
    """
    low, high = tensor.range
    if low != 0:
        raise UserError(f"cannot write this network layer by layer: its input starts at {low:g}, expected 0")
    channels, height, width = tensor.shape
    chain = _Chain((), (channels, height, width))
    for name, module in modules_of(model):
        chain = _append(chain, name, module)
    try:
        check_chain(chain.layers)
    except ValueError as error:
        raise UserError(f"cannot write this network layer by layer: {error}; export it to another --format") from error
    for layer in chain.layers:
        _check_window(layer)
    return Network(chain.layers, high / 255)


def _check_window(layer: Layer) -> None:
    try:
        layer.window.check(layer.kind)
    except ValueError as error:
        raise refused(layer.kind, layer.name, f"is too large ({error})") from error


def _append(chain: _Chain, name: str, module: nn.Module) -> _Chain:
    """Return the chain with one more module; raises `UserError` where it can't be written."""
    if isinstance(module, _DROPPED):
        return chain
    if isinstance(module, nn.ReLU):
        return replace(chain, layers=_with_relu(chain.layers))
    if isinstance(module, nn.Flatten):
        return _flattened(chain, name, module)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return _with_norm(chain, name, module)
    if isinstance(module, nn.Linear):
        return _with_linear(chain, name, module)
    return _with_layer(chain, _window_layer(chain, name, module))


def _window_layer(chain: _Chain, name: str, module: nn.Module) -> Layer:
    """Return the layer of a module that looks at windows of an image."""
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
        raise refused(type(module).__name__, name)
    if chain.flat:
        raise refused(type(module).__name__, name, "follows Flatten")
    return _convolution(chain, name, module) if isinstance(module, nn.Conv2d) else _pool(chain, name, module)


def _flattened(chain: _Chain, name: str, module: nn.Flatten) -> _Chain:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, 3)):
        raise refused("Flatten", name, "does not flatten an image into one line")
    if isinstance(module, SizedFlatten) and module.values not in (None, prod(chain.shape)):
        raise refused("view", name, f"is not of the {prod(chain.shape):,} values of an image")
    return replace(chain, flat=True)


def _with_layer(chain: _Chain, layer: Layer) -> _Chain:
    height, width, channels = layer.window.outputs
    return _Chain((*chain.layers, layer), (channels, height, width))


def _with_relu(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return layers followed by a ReLU, which is moved before a maximum: that gives the same, in finer steps."""
    if not layers:
        return layers  # the input is never below 0
    if layers[-1].kind == "MaxPool2d":
        return (*_with_relu(layers[:-1]), layers[-1])
    return (*layers[:-1], replace(layers[-1], relu=True))


def _with_linear(chain: _Chain, name: str, module: nn.Linear) -> _Chain:
    channels, height, width = chain.shape
    if channels * height * width != module.in_features or (height * width > 1 and not chain.flat):
        raise refused("Linear", name, f"does not take all {channels * height * width:,} values before it")
    weights = _numbers(module.weight).reshape(module.out_features, channels, height, width)
    rows = weights.transpose(2, 3, 1, 0).reshape(1, 1, 1, module.in_features, module.out_features)
    layer = Layer(
        name, "Linear", pixel(module.in_features, module.out_features), weights=rows, bias=_bias(module.bias, rows)
    )
    return replace(_with_layer(chain, layer), flat=True)


def _convolution(chain: _Chain, name: str, module: nn.Conv2d) -> Layer:
    if module.padding_mode != "zeros":
        raise refused("Conv2d", name, f"pads with {module.padding_mode!r}")
    kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
    reach = [step * (side - 1) for step, side in zip(dilation, kernel, strict=True)]
    if isinstance(module.padding, str):
        both = reach if module.padding == "same" else [0, 0]
    else:
        both = [2 * side for side in module.padding]
    sides = zip(chain.shape[1:], both, reach, stride, strict=True)
    outputs = [(size + added - far - 1) // step + 1 for size, added, far, step in sides]
    groups = module.groups
    inputs, channels = module.in_channels // groups, module.out_channels // groups
    weights = _numbers(module.weight).reshape(groups, channels, inputs, *kernel).transpose(0, 3, 4, 2, 1)
    return Layer(
        name=name,
        kind="Conv2d",
        window=_window(chain, kernel, stride, dilation, [added // 2 for added in both], outputs, module.out_channels),
        groups=groups,
        weights=weights,
        bias=_bias(module.bias, weights),
    )


def _pool(chain: _Chain, name: str, module: nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d) -> Layer:
    kind, size = type(module).__name__, chain.shape[1:]
    if isinstance(module, nn.AdaptiveAvgPool2d):
        asked = module.output_size
        sides = asked if isinstance(asked, tuple) else (asked, asked)
        wanted = [side or full for side, full in zip(sides, size, strict=True)]
        if any(full % side for side, full in zip(wanted, size, strict=True)):
            raise refused(kind, name, f"does not divide {size[0]}×{size[1]} into equal parts")
        kernel = _pair([full // side for side, full in zip(wanted, size, strict=True)])
        window = _window(chain, kernel, kernel, (1, 1), [0, 0], wanted, chain.shape[0])
        return Layer(name, "AvgPool2d", window)
    kernel, padding = _pair(module.kernel_size), _pair(module.padding)
    stride = _pair(module.stride)
    dilation = _pair(module.dilation) if isinstance(module, nn.MaxPool2d) else (1, 1)
    outputs = [
        _pooled(*side, ceil=module.ceil_mode) for side in zip(size, kernel, stride, dilation, padding, strict=True)
    ]
    whole = [_pooled(*side, ceil=False) for side in zip(size, kernel, stride, dilation, padding, strict=True)]
    if isinstance(module, nn.AvgPool2d) and (module.divisor_override or outputs != whole):
        raise refused(kind, name, "divides by another number than that of its values")
    if any(padding) and max(dilation) > 1:
        raise refused(kind, name, "has both padding and dilation")
    counts = isinstance(module, nn.AvgPool2d) and module.count_include_pad
    window = _window(chain, kernel, stride, dilation, padding, outputs, chain.shape[0])
    return Layer(name, kind, window, counts_padding=counts)


def _pooled(size: int, kernel: int, stride: int, dilation: int, padding: int, *, ceil: bool) -> int:
    """Return how many windows there are, as torch counts them (`torch.nn.MaxPool2d`)."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def _window(
    chain: _Chain, kernel: Sides, stride: Sides, dilation: Sides, padding: Sides, outputs: Sides, channels: int
) -> Window:
    inputs, height, width = chain.shape
    return Window(
        size=(height, width, inputs),
        kernel=_pair(kernel),
        stride=_pair(stride),
        dilation=_pair(dilation),
        padding=_pair(padding),
        outputs=(*_pair(outputs), channels),
    )


def _pair(value: Sides) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return operator.index(first), operator.index(second)


def _with_norm(chain: _Chain, name: str, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> _Chain:
    """Return the chain with a batch normalization, folded into the layer before where that has weights and no ReLU."""
    if norm.running_mean is None or norm.running_var is None:
        raise refused(type(norm).__name__, name, "keeps no mean and variance")
    factor = 1 / np.sqrt(_numbers(norm.running_var) + norm.eps)
    if norm.weight is not None:
        factor = factor * _numbers(norm.weight)
    shift = -_numbers(norm.running_mean) * factor
    if norm.bias is not None:
        shift = shift + _numbers(norm.bias)
    channels, height, width = chain.shape
    if len(factor) != channels or (chain.flat and height * width > 1):
        raise refused(type(norm).__name__, name, f"does not take the {channels:,} channels before it")
    layer = chain.layers[-1] if chain.layers else None
    if layer is not None and layer.weights is not None and layer.bias is not None and not layer.relu:
        groups, *_, outputs = layer.weights_shape
        weights = layer.weights * factor.reshape(groups, 1, 1, 1, outputs)
        folded = replace(layer, weights=weights, bias=layer.bias * factor + shift)
        return replace(chain, layers=(*chain.layers[:-1], folded))
    window = _window(chain, 1, 1, 1, 0, (height, width), channels)
    return replace(
        chain,
        layers=(
            *chain.layers,
            Layer(name, "BatchNorm", window, channels, weights=factor.reshape(-1, 1, 1, 1, 1), bias=shift),
        ),
    )


def _numbers(tensor: torch.Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = tensor.detach().double().numpy()
    return numbers


def _bias(bias: torch.Tensor | None, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros(weights.shape[0] * weights.shape[4]) if bias is None else _numbers(bias)
