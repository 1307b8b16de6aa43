"""The text of an intermediate representation, checked before OpenVINO is given it. Needs the standard library alone."""

import re
import struct
from math import prod
from xml.etree import ElementTree  # expat 2.4.1 and later refuse entities that grow without bound

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.sizes import MAX_PARTS, check_sizes

GRAPH, WEIGHTS = "model.xml", "model.bin"
"""The files of the folder, named so that OpenVINO's own tools find the second beside the first."""

MAX_BYTES = 64 << 20
"""Most bytes of the two files."""

MAX_LAYERS = 1_000
"""Most operators, constants among them."""

MAX_NUMBER = 1 << 20
"""Largest size, stride or padding of an operator."""

OPERATORS = frozenset(
    (
        *("Parameter", "Const", "Result", "Convert", "ShapeOf", "Gather", "Concat", "Reshape", "Transpose", "Squeeze"),
        *("Unsqueeze", "Slice", "StridedSlice", "Pad", "MatMul", "Convolution", "GroupConvolution", "MaxPool"),
        *("AvgPool", "AdaptiveAvgPool", "ReduceMean", "ReduceMax", "ReduceSum", "BatchNormInference", "MVN"),
        *("GroupNormalization", "Add", "Subtract", "Multiply", "Divide", "Negative", "ReLU", "PReLU", "Clamp"),
        *("Sigmoid", "Tanh", "Elu", "Selu", "Gelu", "Swish", "HSwish", "HSigmoid", "Mish", "SoftPlus", "SoftMax"),
        *("LogSoftmax", "Power", "Sqrt", "Broadcast", "Range", "Abs", "Sign", "Exp", "Log", "Maximum", "Minimum"),
        *("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "Select", "Split"),
        *("VariadicSplit", "Tile", "AdaptiveMaxPool", "ReduceMin", "Floor"),
    )
)
"""What a graph may hold: the layers of small classifiers. No control flow, no state, no library of somebody else's."""

MAX_ELEMENTS = 1 << 24
"""Most numbers that an operator may give for an image, or a shape among the constants may ask for."""

MAX_TOTAL = 1 << 27
"""Most numbers that all operators may give together, constants among them."""

_INTEGERS = {"i64": "q", "i32": "i", "u64": "Q", "u32": "I"}
"""Whole numbers by their name in the text, and in `struct`."""

_NUMBER = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")


def check_representation(graph: bytes, weights: bytes) -> None:
    """Return if a graph and its weights are of a kind that an export gives.

    Raises:
        ArtifactError: they are not; the message says what is there instead.
    """
    if len(graph) + len(weights) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    try:
        root = ElementTree.fromstring(graph)  # noqa: S314
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ArtifactError(f"its {GRAPH} is damaged") from error
    layers = root.findall("./layers/layer")
    if root.tag != "net" or not 0 < len(layers) <= MAX_LAYERS or len(list(root.iter("layer"))) != len(layers):
        raise ArtifactError(f"its {GRAPH} is not one graph of at most {MAX_LAYERS:,} operators")
    try:
        for layer in layers:
            _check_layer(layer, weights)
        sizes = check_sizes(root)
        for layer in layers:
            if int(layer.get("id", "")) in sizes:
                _check_integers(layer, weights)
    except ValueError as error:  # a number like 1.2.3, or of more digits than Python reads
        raise ArtifactError(f"its {GRAPH} is damaged") from error


def _check_layer(layer: ElementTree.Element, weights: bytes) -> None:
    kind = layer.get("type", "")
    if kind not in OPERATORS:
        raise ArtifactError(f"its graph holds {kind[:80]!r}, which is not on the list of operators")
    for data in layer.findall("data"):
        fields = dict(data.items())
        if kind == "Const":
            start, length = fields.pop("offset", ""), fields.pop("size", "")
            if not (start.isdecimal() and length.isdecimal()) or int(start) + int(length) > len(weights):
                raise ArtifactError(f"a constant of it lies outside its {WEIGHTS}")
        words = (word.strip() for value in fields.values() for word in value.split(","))
        if any(_NUMBER.fullmatch(word) and not abs(float(word)) <= MAX_NUMBER for word in words):
            raise ArtifactError(f"its operator {kind} has sizes that no small classifier needs")
        if kind == "Split" and not 0 < (parts := int(fields.get("num_splits", ""))) <= MAX_PARTS:
            raise ArtifactError(f"its Split gives {parts} parts, expected 1 to {MAX_PARTS}")


def _check_integers(constant: ElementTree.Element, weights: bytes) -> None:
    """Refuse a constant that is a shape, a bound or a padding of something huge, where it is of whole numbers."""
    for fields in constant.findall("data"):
        code = _INTEGERS.get(fields.get("element_type", ""))
        if code is None:
            continue
        size, start, length = struct.calcsize(code), int(fields.get("offset", "")), int(fields.get("size", ""))
        data = weights[start : start + length // size * size]
        values = [abs(value) for (value,) in struct.iter_unpack(f"<{code}", data)]
        greatest = (1 << (8 * size - 1)) - 1  # as the end of a slice, which is all there is
        if prod(value for value in values if 0 < value < greatest) > MAX_ELEMENTS:
            name = constant.get("name", "")
            raise ArtifactError(
                f"its constant {name[:60]!r} is a size of more than {MAX_ELEMENTS:,} numbers, which no small "
                "classifier needs"
            )
