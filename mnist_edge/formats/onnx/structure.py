"""The shape of a model file of ours, checked before onnxruntime is given it. Needs the standard library alone.

One input, one output, layers of small classifiers, no control flow, no external data, no constant that is larger than
the file says, no value between layers that is larger than a small classifier needs (`sizes`).
"""

import struct
from itertools import islice
from math import prod

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.onnx.protobuf import Value, fields, signed, varints
from mnist_edge.formats.onnx.shapes import AUTO_PAD, Node
from mnist_edge.formats.onnx.sizes import Constant, Sides, check_sizes
from mnist_edge.formats.onnx.values import MAX_VALUES

MAX_BYTES = 64 << 20
"""Most bytes of a model file."""

MAX_NODES = 1_000
"""Most operators of a model."""

MAX_CONSTANTS = 10_000
"""Most tensors that a model stores."""

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
_TENSOR_FIELDS = {1, 2, 4, 5, 7, 8, 9, 12, 14}
"""dims, data_type, float_data, int32_data, int64_data, name, raw_data, doc_string, data_location: no external data."""

_INT64 = 7
_FOUR_BITS = {21, 22}
"""Element types of which a byte holds two: UINT4 and INT4 (onnx.proto)."""


def check_structure(data: bytes, *, one_by_one: bool = False) -> None:
    """Return if an ONNX file has the structure of a small classifier.

    Args:
        data: the file.
        one_by_one: whether it will be given images one by one alone, and need take no others.

    Raises:
        ArtifactError: it has not; the message says what it has instead.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has {len(data):,} bytes, expected at most {MAX_BYTES:,}")
    graph = None
    for number, value in fields(memoryview(data)):
        if number not in _MODEL_FIELDS:
            raise ArtifactError("it holds functions or training info, which no file of ours has")
        if number == 7:
            if graph is not None:
                raise ArtifactError("it holds several graphs, expected 1")
            graph = _bytes(value)
        if number == 8:
            _check_opset(_bytes(value))
    if graph is None:
        raise ArtifactError("it holds 0 graphs, expected 1")
    _check_graph(graph, one_by_one)


def _check_graph(graph: memoryview, one_by_one: bool) -> None:
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
        if len(nodes) > MAX_NODES or len(constants) > MAX_CONSTANTS:
            raise ArtifactError(f"it has more than {MAX_NODES:,} operators, or {MAX_CONSTANTS:,} stored tensors")
        if len(inputs) > 1 or len(outputs) > 1:
            raise ArtifactError("the graph has several inputs or outputs, expected 1 of each")
    if not inputs or not outputs:
        raise ArtifactError(f"the graph has {len(inputs)} inputs and {len(outputs)} outputs, expected 1 of each")
    name, sides = _input(inputs[0])
    check_sizes(nodes, constants, name, (1, *sides[1:]) if one_by_one else sides)


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
    name, text, numbers = "", "", []
    for number, value in fields(data):
        if number not in _ATTRIBUTE_FIELDS:
            raise ArtifactError("an operator of it holds a tensor or a graph, which no file of ours has")
        if number == 1:
            name = _text(value)
        elif number == 4:
            text = _text(value)
        elif number in (3, 8):
            numbers += _numbers(value)
        if len(numbers) > MAX_VALUES:
            raise ArtifactError(f"an attribute of it has more than {MAX_VALUES} numbers")
    if name == "auto_pad":
        if text not in AUTO_PAD:
            raise ArtifactError(f"an operator of it is padded by the rule {text[:60]!r}, which is not known")
        return name, (AUTO_PAD.index(text),)
    return name, tuple(numbers)


def _constant(data: memoryview) -> tuple[str, Constant]:
    shape: list[int] = []
    numbers: list[int] = []
    name, kind, raw = "", 0, None
    for number, value in fields(data):
        if number not in _TENSOR_FIELDS or (number == 14 and value != 0):
            raise ArtifactError("it keeps weights outside the file, which no file of ours does")
        if number == 1:
            shape += _numbers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _bytes(value)
        elif number == 7 and len(numbers) <= MAX_VALUES:
            numbers += _numbers(value)
        if len(shape) > MAX_VALUES:
            raise ArtifactError(f"its constant {name[:60]!r} has more than {MAX_VALUES} sides")
    if min(shape, default=0) < 0 or prod(shape) > len(data) * (2 if kind in _FOUR_BITS else 1):
        raise ArtifactError(f"its constant {name[:60]!r} claims {prod(shape):,} numbers in {len(data):,} bytes")
    if kind != _INT64 or prod(shape) > MAX_VALUES:
        return name, Constant(tuple(shape), None)
    if raw is not None:  # onnxruntime then looks at nothing else
        numbers = list(struct.unpack(f"<{len(raw) // 8}q", raw[: len(raw) // 8 * 8]))
    if len(numbers) != prod(shape):
        raise ArtifactError(f"its constant {name[:60]!r} holds another number of values than its sides say")
    return name, Constant(tuple(shape), tuple(numbers))


def _numbers(value: Value) -> list[int]:
    """Return the numbers of a repeated field, packed or one of them; of very many, a few more than are followed."""
    if isinstance(value, int):
        return [signed(value)]
    return [signed(each) for each in islice(varints(value), MAX_VALUES + 1)]


def _input(data: memoryview) -> tuple[str, Sides]:
    """Return the name and the sides of an input (ValueInfoProto), with None for a symbolic one."""
    name = ""
    sides: list[int | None] = []
    for number, value in fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            sides += [
                _side(_bytes(dimension))
                for kind, tensor in fields(_bytes(value))
                if kind == 1
                for part, shape in fields(_bytes(tensor))
                if part == 2
                for each, dimension in fields(_bytes(shape))
                if each == 1
            ]
    return name, tuple(sides)


def _side(data: memoryview) -> int | None:
    found = next((value for number, value in fields(data) if number == 1 and isinstance(value, int)), -1)
    return None if signed(found) < 0 else found  # some exporters write -1


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ArtifactError("it is not an ONNX file, or is damaged")
    return value


def _text(value: Value) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError("names in it are damaged") from error
