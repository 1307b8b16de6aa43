"""Layers and their numbers → a network that may be run: what belongs together is checked before it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import expect_fields, parse_object, take_list, take_number
from mnist_edge.formats.c.header import BIAS, MULTIPLIERS, SCALES, WEIGHTS, expected_arrays
from mnist_edge.formats.c.network import MAX_LAYERS, Layer, Network, check_chain
from mnist_edge.formats.c.quantization import MAX_SUM, largest_sum
from mnist_edge.formats.scheme import Precision
from mnist_edge.types import AnyArray

ReadNumbers = Callable[[int, Layer, str, "np.dtype[Any]", int], AnyArray]
"""Number of a layer from 1 on, the layer, kind, type and count of an array of it → the array; raises `ValueError`."""


def network_of(fields_json: str, contract: Contract, read_numbers: ReadNumbers) -> Network:
    """Return the network that `network_json` described, with numbers that are read one array after the other.

    Raises:
        ValueError: something is missing or out of range, or does not fit the rest or the contract.
    """
    fields = parse_object(fields_json)
    expect_fields(["input_step", "layers"], fields)
    described = take_list(fields, "layers")
    if len(described) > MAX_LAYERS:
        raise ValueError("there are too many layers")
    layers = [Layer.from_fields(entry) for entry in described if isinstance(entry, dict)]
    check_chain(layers)
    quantized = contract.precision == Precision.INT8
    with_numbers = []
    for number, layer in enumerate(layers, 1):
        expected = expected_arrays(layer, quantized=quantized, last=number == len(layers))
        numbers = {kind: read_numbers(number, layer, kind, np.dtype(dtype), count) for kind, dtype, count in expected}
        with_numbers.append(_with_numbers(layer, numbers))
    network = Network(tuple(with_numbers), take_number(fields, "input_step", 1e-30, 1e30))
    _check(network, contract)
    return network


def _with_numbers(layer: Layer, numbers: dict[str, AnyArray]) -> Layer:
    if layer.has_weights:
        numbers[WEIGHTS] = numbers[WEIGHTS].reshape(layer.weights_shape)
    weights, bias, multipliers, scales = (numbers.get(kind) for kind in (WEIGHTS, BIAS, MULTIPLIERS, SCALES))
    return replace(layer, weights=weights, bias=bias, multipliers=multipliers, scales=scales)


def _check(network: Network, contract: Contract) -> None:
    """Raise `ValueError` where a network does not fit its contract, or a sum could exceed 32 bits."""
    channels, height, width = contract.task.input.shape
    if network.layers[0].window.values_in != channels * height * width:
        raise ValueError("it does not take the images of its contract")
    if network.layers[-1].window.outputs[2] != len(contract.task.labels):
        raise ValueError("it does not give the labels of its contract")
    if not network.quantized:
        return
    for layer, signed in zip(network.layers, network.signed_inputs, strict=True):
        if layer.has_weights and largest_sum(layer, signed) > MAX_SUM:
            raise ValueError(f"sums of {layer.name} could exceed 32 bits")
        if layer.multipliers is not None and layer.shift == 0:
            raise ValueError(f"{layer.name} is not shifted")
