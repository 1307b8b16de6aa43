"""The shape of a model file of ours, checked before onnxruntime is given it. Needs the standard library alone.

One input, one output, layers of small classifiers, no control flow, no external data, no constant that is larger than
the file says, no value between layers that is larger than a small classifier needs.
"""

import struct
from math import prod
from typing import NamedTuple

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.onnx.protobuf import Value, fields, signed, varints
from mnist_edge.formats.onnx.shapes import Node, Shape, output_shapes

MAX_BYTES = 64 << 20
"""Most bytes of a model file."""

MAX_NODES = 1_000
"""Most operators of a model."""

MAX_ELEMENTS = 1 << 20
"""Most numbers that a value between layers may have, for one image."""

MAX_COMPUTED = 4
"""Most numbers that may be computed from constants alone, for each number that is stored, beside `MAX_ELEMENTS`: a
weight of 4 bits is cast, multiplied by its step and reshaped, and may be transposed."""

_STANDARD_DOMAINS = {"", "ai.onnx"}

_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14}
"""ir_version, producer_name, producer_version, domain, model_version, doc_string, graph, opset_import, metadata_props:
no functions, no training info.
"""
_GRAPH_FIELDS = {1, 2, 5, 10, 11, 12, 13}
"""node, name, initializer, doc_string, input, output, value_info: no sparse or annotated tensors."""
_NODE_FIELDS = {1, 2, 3, 4, 5, 6, 7}
"""input, output, name, op_type, attribute, doc_string, domain."""
_ATTRIBUTE_FIELDS = {1, 2, 3, 4, 7, 8, 13, 20}
"""name, f, i, s, floats, ints, doc_string, type: no tensors, no graphs."""
_TENSOR_FIELDS = {1, 2, 4, 5, 7, 8, 9, 12}
"""dims, data_type, float_data, int32_data, int64_data, name, raw_data, doc_string: no external data."""

_INT64 = 7
_FOUR_BITS = {21, 22}
"""Element types of which a byte holds two: UINT4 and INT4 (onnx.proto)."""


class Constant(NamedTuple):
    """A stored tensor: its shape, and its values where they are 64-bit integers, as shapes are."""

    shape: Shape
    values: tuple[int, ...] | None


def check_structure(data: bytes) -> None:
    """Return if an ONNX file has the structure of a small classifier.

    Raises:
        ArtifactError: it has not; the message says what it has instead.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has {len(data):,} bytes, expected at most {MAX_BYTES:,}")
    graphs = []
    for number, value in fields(memoryview(data)):
        if number not in _MODEL_FIELDS:
            raise ArtifactError("it holds functions or training info, which no file of ours has")
        if number == 7:
            graphs.append(_bytes(value))
        if number == 8:
            _check_opset(_bytes(value))
    if len(graphs) != 1:
        raise ArtifactError(f"it holds {len(graphs)} graphs, expected 1")
    _check_graph(graphs[0])


def _check_graph(graph: memoryview) -> None:
    nodes: list[Node] = []
    constants: dict[str, Constant] = {}
    inputs, outputs = [], []
    for number, value in fields(graph):
        if number not in _GRAPH_FIELDS:
            raise ArtifactError("its graph holds sparse or annotated tensors, which no file of ours has")
        if number == 1:
            nodes.append(_node(_bytes(value)))
        elif number == 5:
            name, constant = _constant(_bytes(value))
            constants[name] = constant
        elif number == 11:
            inputs.append(_bytes(value))
        elif number == 12:
            outputs.append(_bytes(value))
        if len(nodes) > MAX_NODES:
            raise ArtifactError(f"it has more than {MAX_NODES:,} operators")
    if len(inputs) != 1 or len(outputs) != 1:
        raise ArtifactError(f"the graph has {len(inputs)} inputs and {len(outputs)} outputs, expected 1 of each")
    stored = sum(prod(constant.shape) for constant in constants.values())
    _check_sizes(nodes, constants, *_input(inputs[0]), MAX_ELEMENTS + MAX_COMPUTED * stored)


def _check_sizes(nodes: list[Node], constants: dict[str, Constant], name: str, shape: Shape, computed: int) -> None:
    """Follow the shapes of one image through the graph, in which so many numbers may be computed from constants."""
    if prod(shape) > MAX_ELEMENTS:
        raise ArtifactError(f"its input has {prod(shape):,} numbers for an image, expected at most {MAX_ELEMENTS:,}")
    shapes = {name: shape, **{name: constant.shape for name, constant in constants.items()}}
    values = {name: constant.values for name, constant in constants.items() if constant.values is not None}
    fixed = set(constants)
    for node in nodes:
        if node.kind == "Shape" and set(node.inputs) <= set(shapes):
            values |= dict.fromkeys(node.outputs, shapes[node.inputs[0]])
        of_constants = fixed.issuperset(filter(None, node.inputs))
        for output, found in zip(node.outputs, output_shapes(node, shapes, values), strict=False):
            if of_constants:
                computed -= prod(found)
                fixed.add(output)
            elif prod(found) > MAX_ELEMENTS:
                raise ArtifactError(
                    f"its {node.kind} gives {prod(found):,} numbers for an image, expected at most {MAX_ELEMENTS:,}"
                )
            if computed < 0:
                raise ArtifactError("it computes many more numbers from its constants than it has")
            shapes[output] = found


def _check_opset(data: memoryview) -> None:
    domain = "".join(_text(value) for number, value in fields(data) if number == 1)
    if domain not in _STANDARD_DOMAINS:
        raise ArtifactError(f"it needs operators of {domain[:60]!r}, which are not ONNX's own")


def _node(data: memoryview) -> Node:
    inputs, outputs, kind, integers = [], [], "", {}
    for number, value in fields(data):
        if number not in _NODE_FIELDS:
            raise ArtifactError("an operator of it holds what no file of ours has")
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            name, numbers = _attribute(_bytes(value))
            integers[name] = numbers
        elif number == 7 and _text(value) not in _STANDARD_DOMAINS:
            raise ArtifactError(f"its operator {kind[:60]!r} is not ONNX's own")
    return Node(kind, tuple(inputs), tuple(outputs), integers)


def _attribute(data: memoryview) -> tuple[str, tuple[int, ...]]:
    """Return the name of an attribute and its whole numbers, none where it is of another type."""
    name, numbers = "", []
    for number, value in fields(data):
        if number not in _ATTRIBUTE_FIELDS:
            raise ArtifactError("an operator of it holds a tensor or a graph, which no file of ours has")
        if number == 1:
            name = _text(value)
        elif number == 3 and isinstance(value, int):
            numbers.append(signed(value))
        elif number == 8:
            numbers += [signed(value)] if isinstance(value, int) else [signed(each) for each in varints(value)]
    return name, tuple(numbers)


def _constant(data: memoryview) -> tuple[str, Constant]:
    shape: list[int] = []
    name, kind, values = "", 0, None
    for number, value in fields(data):
        if number not in _TENSOR_FIELDS:
            raise ArtifactError("it keeps weights outside the file, which no file of ours does")
        if number == 1:
            shape += [value] if isinstance(value, int) else list(varints(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 9 and kind == _INT64 and len(_bytes(value)) % 8 == 0:
            values = struct.unpack(f"<{len(_bytes(value)) // 8}q", _bytes(value))
        elif number == 7 and not isinstance(value, int):
            values = tuple(signed(each) for each in varints(value))
    if prod(shape) > len(data) * (2 if kind in _FOUR_BITS else 1):
        raise ArtifactError(f"its constant {name[:60]!r} claims {prod(shape):,} numbers in {len(data):,} bytes")
    return name, Constant(tuple(shape), values)


def _input(data: memoryview) -> tuple[str, Shape]:
    """Return the name and the shape of an input (ValueInfoProto), with 1 for a symbolic side."""
    name = ""
    shape: list[int] = []
    for number, value in fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            shape += [
                _side(_bytes(dimension))
                for kind, tensor in fields(_bytes(value))
                if kind == 1
                for part, sides in fields(_bytes(tensor))
                if part == 2
                for each, dimension in fields(_bytes(sides))
                if each == 1
            ]
    return name, tuple(shape)


def _side(data: memoryview) -> int:
    return next((value for number, value in fields(data) if number == 1 and isinstance(value, int)), 1)


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ArtifactError("it is not an ONNX file, or is damaged")
    return value


def _text(value: Value) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError("names in it are damaged") from error
