"""The arithmetic of a header in NumPy, which defines what its C gives, to the last bit (docs/microcontrollers.md)."""

from collections.abc import Iterator
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from mnist_edge.artifact.contract import Contract
from mnist_edge.formats.c.network import Layer, Network, Window
from mnist_edge.types import AnyArray, Images, Logits

Bytes = NDArray[np.uint8]

LARGEST = {False: 255, True: 127}
"""Greatest quantized value, by whether values may be below 0: then the least is its opposite."""


def to_bytes(images: Images, step: float) -> Bytes:
    """Return inputs as bytes: over their step, rounded half up; NaN is 0, what lies outside is cut off.

    Args:
        images: float32 `[N, channels, height, width]`.
        step: what one step of the bytes stands for.

    Returns:
        uint8 `[N, height, width, channels]`.
    """
    with np.errstate(invalid="ignore"):
        scaled = images * np.float32(1 / step)
        inside = np.where(scaled >= 0, np.minimum(scaled, np.float32(255)), np.float32(0))
    whole = inside.astype(np.int32)
    rounded = whole + ((inside - whole.astype(np.float32)) >= np.float32(0.5))
    return rounded.astype(np.uint8).transpose(0, 2, 3, 1)


def logits_of(network: Network, images: Bytes) -> Logits:
    """Return the logits, float32 `[N, classes]`, of images, uint8 `[N, height, width, channels]`."""
    if network.quantized:
        return _quantized_logits(network, images)
    return float_logits(network, images.astype(np.float32) / np.float32(1 / network.input_step))


def float_logits(network: Network, images: AnyArray) -> Logits:
    """Return the logits, float32 `[N, classes]`, that float32 weights give for float32 `[N, height, width, channels]`.

    Each sum starts with the bias; products are rounded, then added, in the order of the weights; zeros are left out.
    """
    values = images.astype(np.float32)
    for layer in network.layers:
        values = values.reshape(-1, *layer.window.size)
        values = _ordered_sums(layer, values) if layer.has_weights else pool(layer, values)
        if layer.relu:
            values = np.where(values < 0, np.float32(0), values)
    logits: Logits = values.reshape(len(images), -1)
    return logits


def exact_outputs(network: Network, images: AnyArray) -> Iterator[tuple[Layer, AnyArray]]:
    """Yield each layer and what it gives, in double precision, after its ReLU; of a network that has floats."""
    values = images.astype(np.float64)
    for layer in network.layers:
        values = values.reshape(-1, *layer.window.size)
        values = exact_sums(layer, values) if layer.has_weights else pool(layer, values)
        if layer.relu:
            values = np.maximum(values, 0)
        yield layer, values


def _quantized_logits(network: Network, images: Bytes) -> Logits:
    values = images.astype(np.float64)
    for layer in network.layers:
        values = values.reshape(-1, *layer.window.size)
        if not layer.has_weights:
            values = pool(layer, values.astype(np.int64))
            values = np.maximum(values, 0) if layer.relu else values
            continue
        sums = exact_sums(layer, values).astype(np.int64)  # whole numbers below 2³¹, which doubles hold exactly
        if layer.scales is None:
            values = requantized(layer, sums)
        else:
            logits: Logits = sums.reshape(len(images), -1).astype(np.float32) * layer.scales
            return logits
    raise AssertionError("the last layer has scales")


def requantized(layer: Layer, sums: AnyArray) -> AnyArray:
    """Return sums, int64 `[…, outputs]`, as steps of the layer's output; see docs/microcontrollers.md."""
    assert layer.multipliers is not None
    magnitude = np.where(sums > 0, sums, 0 if layer.relu else -sums).astype(np.uint64)
    high = (magnitude * layer.multipliers.astype(np.uint64)) >> np.uint64(32)
    rounded = (high + (np.uint64(1) << np.uint64(layer.shift - 1))) >> np.uint64(layer.shift)
    steps = np.minimum(rounded, LARGEST[not layer.relu]).astype(np.int64)
    signed: AnyArray = np.where(sums < 0, -steps, steps)
    return signed


def exact_sums(layer: Layer, values: AnyArray) -> AnyArray:
    """Return the sums of a layer, float64, exact where all numbers are whole ones below 2⁵³."""
    weights, bias = layer.weights, layer.bias
    assert weights is not None
    assert bias is not None
    inputs_of = (values,) if layer.groups == 1 else np.split(values, layer.groups, axis=-1)
    parts: list[AnyArray] = []
    for group, inputs in enumerate(inputs_of):
        products = (
            seen @ weights[group, row, column].astype(np.float64, copy=False)
            for (row, column), seen in _seen(layer.window, inputs, 0.0)
        )
        parts.append(reduce(np.add, products))
    return (parts[0] if layer.groups == 1 else np.concatenate(parts, axis=-1)) + bias


def _ordered_sums(layer: Layer, values: AnyArray) -> AnyArray:
    """Return the sums of a layer in float32, in the order that the C has."""
    weights, bias = layer.weights, layer.bias
    assert weights is not None
    assert bias is not None
    parts = []
    inputs_of = np.split(values, layer.groups, axis=-1)
    for group, (inputs, start) in enumerate(zip(inputs_of, np.split(bias, layer.groups), strict=True)):
        total = np.broadcast_to(start, (len(values), *layer.window.outputs[:2], len(start))).astype(np.float32)
        for (row, column), seen in _seen(layer.window, inputs, 0.0):
            for channel, numbers in enumerate(weights[group, row, column]):
                value = seen[..., channel : channel + 1]
                with np.errstate(invalid="ignore", over="ignore"):
                    total = np.where(value != 0, total + value * numbers, total)
        parts.append(total)
    return np.concatenate(parts, axis=-1)


def pool(layer: Layer, values: AnyArray) -> AnyArray:
    """Return the maximum or the average of each window; of whole numbers the average is rounded, half away from 0."""
    window, whole = layer.window, values.dtype.kind == "i"
    if layer.kind == "MaxPool2d":
        lowest = np.iinfo(values.dtype).min if whole else -np.inf
        largest: AnyArray = reduce(np.maximum, (seen for _, seen in _seen(window, values, lowest)))
        return largest
    inside = np.zeros((1, *window.outputs[:2], 1), values.dtype)
    for _, seen in _seen(window, np.ones((1, *window.size[:2], 1), values.dtype), 0):
        inside = inside + seen
    count = inside.dtype.type(window.kernel[0] * window.kernel[1]) if layer.counts_padding else inside
    total = np.zeros((len(values), *window.outputs), values.dtype)
    for _, seen in _seen(window, values, 0):
        total = total + seen
    average: AnyArray = np.sign(total) * ((2 * np.abs(total) + count) // (2 * count)) if whole else total / count
    return average


def _seen(window: Window, values: AnyArray, outside: float) -> Iterator[tuple[tuple[int, int], AnyArray]]:
    """Yield for each place of the kernel, in order, the values that all windows have there."""
    padded = values if window.around is None else np.pad(values, window.around, constant_values=outside)
    for row, column, part in window.places():
        yield (row, column), padded[part]


ANSWER = np.dtype([("label", "<i4"), ("confidence", "<f4"), ("energy", "<f4"), ("margin", "<f4"), ("certain", "<i4")])
"""The answer to an image, as the C has it."""

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Cephes' polynomial of exp (Moshier, expf.c)."""
_LOG = (0.111111111, 0.142857143, 0.2, 0.333333333)
"""The series of log x = 2 · artanh((x - 1) / (x + 1)), its highest term first."""


def least_energy(contract: Contract) -> np.float32:
    """Return the energy that an answer must have: a threshold of 0 is none, and an energy may be below."""
    return np.float32(contract.energy_threshold or np.finfo(np.float32).min)


def judge(logits: Logits, contract: Contract) -> AnyArray:
    """Return the answers, `ANSWER` `[N]`, to images with these logits, float32 `[N, classes]`, all of them finite."""
    temperature = np.float32(contract.temperature)
    ordered = np.sort(logits, axis=1)
    best, second = ordered[:, -1], ordered[:, -2]
    total = np.zeros(len(logits), np.float32)
    for column in logits.T:
        total = total + _exp((column - best) / temperature)
    answers = np.zeros(len(logits), ANSWER)
    answers["label"] = logits.argmax(axis=1)
    answers["confidence"] = np.float32(1) / total
    answers["energy"] = best / temperature + _log(total)
    answers["margin"] = (best - second) / temperature
    known = answers["energy"] >= least_energy(contract)
    answers["certain"] = known & (answers["margin"] >= np.float32(contract.margin_threshold))
    return answers


def _exp(values: AnyArray) -> AnyArray:
    """Return exp of float32 values up to 0, in float32, step by step as the C does it."""
    x = np.maximum(values, np.float32(-88))
    count = (x * np.float32(1.44269504) - np.float32(0.5)).astype(np.int32)
    whole = count.astype(np.float32)
    x = x - whole * np.float32(0.693359375)
    x = x - whole * np.float32(-2.12194440e-4)
    result = np.full_like(x, np.float32(_EXP[0]))
    for term in _EXP[1:]:
        result = result * x + np.float32(term)
    result = np.ldexp(result * x * x + x + np.float32(1), count)
    exponential: AnyArray = np.where(values > np.float32(-87), result, np.float32(0))
    return exponential


def _log(values: AnyArray) -> AnyArray:
    """Return log of float32 values from 1 on, in float32, step by step as the C does it."""
    x, result = values.copy(), np.zeros_like(values)
    while (large := x > np.float32(1.5)).any():
        x = np.where(large, x * np.float32(0.5), x)
        result = np.where(large, result + np.float32(0.693147181), result)
    z = (x - np.float32(1)) / (x + np.float32(1))
    square = z * z
    series = np.full_like(z, np.float32(_LOG[0]))
    for term in _LOG[1:]:
        series = np.float32(term) + square * series
    logarithm: AnyArray = result + np.float32(2) * z * (np.float32(1) + square * series)
    return logarithm
