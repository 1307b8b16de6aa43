"""Weights in signed bytes, values between layers in bytes, with steps that are fixed when the header is written."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.formats.c.reference import LARGEST, Bytes, exact_outputs
from mnist_edge.types import AnyArray

MAX_WEIGHT = 127
"""Greatest quantized weight; the least is its opposite."""

MAX_SUM = 2**31 - 1
"""No sum of products may be able to exceed it, whatever the input."""

MAX_BIAS = 2**30
"""Greatest quantized bias."""

LEAST_STEP = 2.0**-12
"""Least step of the weights of an output, as a share of the layer's largest.

Multipliers are in proportion to these steps, and the greatest has 32 bits. So each has 20 bits or more, and its
rounding moves what it multiplies by less than one part in a million.
"""


def quantize(network: Network, images: Bytes) -> Network:
    """Return a network with weights in 8 bits.

    Args:
        network: with weights in double precision.
        images: uint8 `[N, height, width, channels]`, that were not trained on: they say how large values become.

    Raises:
        UserError: a sum could exceed 32 bits.
    """
    layers: list[Layer] = []
    step, signed = network.input_step, False
    for layer, outputs in exact_outputs(network, images * network.input_step):
        if layer.has_weights:
            last = layer is network.layers[-1]
            layers.append(_quantized(layer, step, signed, None if last else outputs))
            signed = not layer.relu
        else:
            layers.append(replace(layer, step=step))
            signed = signed and not layer.relu
        step = layers[-1].step
    return Network(tuple(layers), network.input_step)


def _quantized(layer: Layer, step: float, signed: bool, outputs: AnyArray | None) -> Layer:
    """Return a layer with weights in 8 bits; `outputs` are None for the last one, whose sums become floats."""
    assert layer.weights is not None
    assert layer.bias is not None
    steps = _weight_steps(layer, step)
    if outputs is not None:
        steps = steps.clip(LEAST_STEP * steps.max())
    grouped = steps.reshape(layer.groups, 1, 1, 1, -1)
    units = steps * step
    result = replace(
        layer,
        weights=np.rint(layer.weights / grouped).clip(-MAX_WEIGHT, MAX_WEIGHT).astype(np.int8),
        bias=np.rint(layer.bias / units).astype(np.int32),
    )
    if largest_sum(result, signed) > MAX_SUM:
        raise UserError(f"cannot write {layer.name} as C: its sums could exceed 32 bits; it has too many inputs")
    if outputs is None:
        return replace(result, scales=units.astype(np.float32))
    return _with_output_steps(result, units, outputs)


def _weight_steps(layer: Layer, step: float) -> NDArray[np.float64]:
    """Return what one step of the weights of each output stands for, such that weights and bias fit."""
    assert layer.weights is not None
    assert layer.bias is not None
    largest = np.abs(layer.weights).max(axis=(1, 2, 3)).reshape(-1)
    steps: NDArray[np.float64] = np.maximum(largest / MAX_WEIGHT, np.abs(layer.bias) / (MAX_BIAS * step)).clip(1e-30)
    return steps


def largest_sum(layer: Layer, signed: bool) -> int:
    """Return the greatest size that a sum of a quantized layer can reach, for any input."""
    assert layer.weights is not None
    assert layer.bias is not None
    products = np.abs(layer.weights.astype(np.int64)).sum(axis=(1, 2, 3)).reshape(-1) * LARGEST[signed]
    return int((products + np.abs(layer.bias.astype(np.int64))).max())


def _with_output_steps(layer: Layer, units: NDArray[np.float64], outputs: AnyArray) -> Layer:
    """Return a layer with step, shift and multipliers of its output, from the outputs that were seen."""
    largest = float(np.abs(outputs).max()) / LARGEST[not layer.relu]
    # So that ratios are below one half, even where rounding lowers the step by one part in 2¹².
    step = rounded(max(largest, 2.001 * float(units.max())))
    ratios = units / step
    shift = min(30, -math.frexp(float(ratios.max()))[1])  # the greatest multiplier has 32 bits
    multipliers = np.rint(ratios * 2.0 ** (32 + shift))
    return replace(layer, step=step, shift=shift, multipliers=multipliers.clip(0, 2**32 - 1).astype(np.uint32))


def rounded(number: float) -> float:
    """Return a number to 12 binary digits: sums in another order, on another machine, then give the same."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(mantissa * 2**12), exponent - 12)
