"""What a graph may compute sizes from, read in its text: OpenVINO computes them while it loads the graph.

Needs the standard library alone.
"""

import re
from collections.abc import Mapping
from math import prod
from xml.etree import ElementTree

from mnist_edge.errors import ArtifactError

MAX_SIZES = 1_024
"""Most numbers that sizes are computed from, together."""

MAX_PARTS = 64
"""Most parts that an operator may split something into: OpenVINO keeps a thousand bytes for each."""

_MAX_DEPTH = 100
"""Most operators, one after the other, that a size is computed by."""

_SIZED = {
    **dict.fromkeys(("Reshape", "Broadcast", "Pad", "Slice", "StridedSlice", "Squeeze", "Unsqueeze", "Transpose"), 1),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "MVN", "AdaptiveAvgPool"), 1),
    **dict.fromkeys(("AdaptiveMaxPool", "Split", "VariadicSplit", "Tile"), 1),
    "Gather": 2,
    "Range": 0,
}
"""Operators with inputs that are sizes, axes or paddings, and the first of these."""

_STORED = frozenset(("VariadicSplit", "Tile"))
"""Operators of which exports store those inputs: how long each part is, how often each side is repeated."""

_SELECTING = frozenset(
    ("Convert", "Reshape", "Squeeze", "Unsqueeze", "Slice", "StridedSlice", "Transpose", "ReduceMax", "ReduceSum")
)
"""What gives no more numbers than the largest of its inputs."""

_COMBINING = frozenset(("Gather", "Add", "Subtract", "Multiply", "Divide", "Negative", "Clamp"))
"""What gives no more numbers than those of its inputs multiplied."""

_RANK = 16
"""Most numbers of a shape."""


def check_sizes(root: ElementTree.Element) -> frozenset[int]:
    """Return which constants the sizes of a graph are computed from, if they are few numbers, and none is a picture's.

    Raises:
        ArtifactError: they are not; the message says what is there instead.
        ValueError: the text is damaged.
    """
    elements = root.findall("./layers/layer")
    layers = {int(layer.get("id", "")): layer for layer in elements}
    if len(layers) != len(elements):
        raise ValueError("two operators with one number")
    inputs = _inputs(root, layers)
    counts = _Counts(layers, inputs)
    for number, layer in layers.items():
        kind = layer.get("type", "")
        first = _SIZED.get(kind)
        for port, source in inputs[number].items():
            if first is None or port < first:
                continue
            count = counts.of(source, _MAX_DEPTH)
            if kind in _STORED and (layers[source].get("type") != "Const" or count > MAX_PARTS):
                raise ArtifactError(f"its {kind} takes other sizes than at most {MAX_PARTS} stored ones")
    return frozenset(number for number in counts.known if layers[number].get("type") == "Const")


def _inputs(root: ElementTree.Element, layers: Mapping[int, ElementTree.Element]) -> dict[int, dict[int, int]]:
    """Return for each operator which one gives each of its inputs; raises `ValueError` where that is ambiguous."""
    inputs: dict[int, dict[int, int]] = {number: {} for number in layers}
    for edge in root.findall("./edges/edge"):
        source, target, port = (int(edge.get(name, "")) for name in ("from-layer", "to-layer", "to-port"))
        if source not in layers or target not in layers or port in inputs[target]:
            raise ValueError("an edge to nowhere, or to an input that has one")
        inputs[target][port] = source
    for layer in layers.values():
        ports = [port.get("id") for port in layer.findall("./input/port")]
        if ports != [str(place) for place in range(len(ports))]:
            raise ValueError("inputs in another order than their numbers")
    return inputs


class _Counts:
    """How many numbers operators give that sizes are computed by; those that were asked for are in `known`."""

    def __init__(self, layers: Mapping[int, ElementTree.Element], inputs: Mapping[int, Mapping[int, int]]) -> None:
        self._layers, self._inputs = layers, inputs
        self.known: dict[int, int] = {}

    def of(self, number: int, depth: int) -> int:
        """Return the most numbers that an operator gives; raises `ArtifactError` where they may be too many."""
        if number not in self.known:
            if depth == 0:
                raise ArtifactError(f"its graph computes a size by more than {_MAX_DEPTH} operators")
            kind = self._layers[number].get("type", "")
            if kind in ("Const", "ShapeOf"):
                count = _numbers(self._layers[number]) if kind == "Const" else _RANK
            else:
                count = self._together(kind, [self.of(source, depth - 1) for source in self._inputs[number].values()])
            if count > MAX_SIZES:
                raise ArtifactError(f"its graph computes a size from more than {MAX_SIZES:,} numbers")
            self.known[number] = count
        return self.known[number]

    @staticmethod
    def _together(kind: str, counts: list[int]) -> int:
        if kind == "Concat":
            return sum(counts)
        if kind in _SELECTING:
            return max(counts, default=0)
        if kind in _COMBINING:
            return prod(counts)
        raise ArtifactError(f"its graph computes a size by {kind[:80]!r}, which no small classifier needs")


def _numbers(constant: ElementTree.Element) -> int:
    """Return how many numbers a constant holds; raises `ValueError` where its fields do not say it."""
    data = constant.find("data")
    if data is None:
        raise ValueError("a constant without data")
    bits = re.search(r"[1-9]\d*", data.get("element_type", ""))
    return int(data.get("size", "")) * 8 // (int(bits.group()) if bits else 8)
