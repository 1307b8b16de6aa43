"""What a header is written from, and the names in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.names import file_stem
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.formats.scheme import Precision
from mnist_edge.types import AnyArray

NETWORK_KEY = "mnist_edge.network"
"""Under this name a header carries its layers without their numbers, for `mnist-edge`."""

_PREPROCESSING = re.compile(r"(mnist|resize)_v\d+")
"""What names in the headers of a preprocessing begin with."""

WEIGHTS, BIAS, MULTIPLIERS, SCALES = "weights", "bias", "multipliers", "scales"


@dataclass(frozen=True, eq=False)
class Header:
    """What a header is written from.

    Attributes:
        contract: what it carries.
        vectors: its test vectors.
        vectors_json: the same as they were written: another zlib would pack them differently.
        network: its layers with their numbers, float32, or int8 and what belongs to it.
    """

    contract: Contract
    vectors: TestVectors
    vectors_json: str
    network: Network

    @property
    def title(self) -> str:
        """Name of the file, without its suffix, as `mnist-edge export` names it."""
        return title_of(self.contract)

    @property
    def prefix(self) -> str:
        """What all names in it begin with, so that two headers, and a preprocessing's, fit into one program."""
        return prefix_of(self.contract)

    @property
    def pixels(self) -> int:
        """Values of an image."""
        return self.network.layers[0].window.values_in

    @property
    def labels(self) -> int:
        """How many there are."""
        return self.network.layers[-1].window.outputs[2]

    def buffers(self) -> tuple[int, int, int]:
        """Return how many sums there are, and how many values after layers of even and of odd number."""
        layers = self.network.layers
        sums = max(layer.window.outputs[2] for layer in layers if layer.has_weights)
        even = max([layer.window.values_out for layer in layers[0:-1:2]], default=1)
        odd = max([layer.window.values_out for layer in layers[1:-1:2]], default=1)
        return sums, even, odd if self.network.quantized else max(odd, self.pixels)

    @property
    def workspace_bytes(self) -> int:
        """Bytes of the workspace, which is made of whole words of four."""
        sums, even, odd = self.buffers()
        return 4 * (sums + -(-(even + odd) // 4) if self.network.quantized else sums + even + odd)

    @property
    def constant_bytes(self) -> int:
        """Bytes of the weights and all that belongs to them."""
        return sum(numbers.nbytes for layer in self.network.layers for numbers in stored(layer).values())


def title_of(contract: Contract) -> str:
    """Return the name of the file of a contract, without its suffix."""
    precision = f"-{contract.precision}" if contract.precision == Precision.INT8 else ""
    return plain(f"{file_stem(contract.task, contract.architecture)}{precision}")


def prefix_of(contract: Contract) -> str:
    """Return what all names in the header of a contract begin with."""
    name = re.sub("[^a-z0-9]", "_", title_of(contract).lower())
    return name if name[0].isalpha() and not _PREPROCESSING.fullmatch(name) else f"net_{name}"


def stored(layer: Layer) -> dict[str, AnyArray]:
    """Return the arrays of numbers that a header stores for a layer, by their names in it."""
    named = {WEIGHTS: layer.weights, BIAS: layer.bias, MULTIPLIERS: layer.multipliers, SCALES: layer.scales}
    return {name: numbers for name, numbers in named.items() if numbers is not None}


def layer_name(prefix: str, number: int, layer: Layer) -> str:
    """Return the name of a layer in a header, numbers from 1."""
    return f"{prefix}_{number}_{re.sub('[^A-Za-z0-9]', '_', layer.name)}"


def expected_arrays(layer: Layer, *, quantized: bool, last: bool) -> Iterator[tuple[str, type[np.generic], int]]:
    """Yield name, type and count of each array of numbers that a header holds for a layer."""
    if not layer.has_weights:
        return
    outputs = layer.window.outputs[2]
    yield WEIGHTS, np.int8 if quantized else np.float32, int(np.prod(layer.weights_shape))
    yield BIAS, np.int32 if quantized else np.float32, outputs
    if quantized:
        yield (SCALES, np.float32, outputs) if last else (MULTIPLIERS, np.uint32, outputs)


def plain(text: str) -> str:
    """Return a text with `_` for all but letters, digits and a few signs, none of which ends a comment or a string."""
    return re.sub("[^A-Za-z0-9._+ -]", "_", text)


def in_comment(text: str) -> str:
    """Return JSON as it can stand in a comment, without a way to end it or to begin another, by escapes of JSON."""
    return text.replace("/", "\\/").replace("*", "\\u002a")


def network_json(network: Network) -> str:
    """Return the layers of a network without their numbers, as one line of JSON."""
    fields = {"input_step": network.input_step, "layers": [layer.to_fields() for layer in network.layers]}
    return json.dumps(fields, sort_keys=True)
