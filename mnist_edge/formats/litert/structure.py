"""What the graph of a `.tflite` file may be. Needs what LiteRT itself needs: flatbuffers, numpy.

LiteRT reads an operator's inputs and writes its output without asking whether they are there.
"""

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mnist_edge.errors import ArtifactError

MAX_ITEMS = 2_000
"""Most operators, tensors or buffers."""

MAX_ELEMENTS = 1 << 24
"""Most numbers of a tensor."""

MAX_TOTAL = 1 << 27
"""Most numbers of all tensors together, those included that an operator computes with."""

MAX_SIDES = 8
"""Most dimensions of a tensor."""

_SHAPING: dict[tuple[int, int], tuple[str, ...]] = {
    (1, 2): ("RESHAPE",),
    (2, 2): ("TRANSPOSE", "PAD", "EXPAND_DIMS", "MEAN", "SUM", "REDUCE_MAX", "BROADCAST_TO"),
    (3, 3): ("PADV2", "SLICE"),
    (4, 4): ("STRIDED_SLICE",),
}
_COMPUTING: dict[tuple[int, int], tuple[str, ...]] = {
    (1, 1): (
        *("SQUEEZE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "NEG", "ABS", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
        *("LEAKY_RELU", "ELU", "LOGISTIC", "TANH", "GELU", "HARD_SWISH", "SOFTMAX", "LOG_SOFTMAX", "EXP", "LOG"),
        *("SQRT", "RSQRT", "QUANTIZE", "DEQUANTIZE", "CAST"),
    ),
    (1, MAX_ITEMS): ("CONCATENATION",),
    (2, 2): (
        *("BATCH_MATMUL", "ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "POW", "MAXIMUM", "MINIMUM", "PRELU"),
        *("GREATER", "GREATER_EQUAL", "LESS"),
    ),
    (2, 3): ("FULLY_CONNECTED",),
    (3, 3): ("CONV_2D", "DEPTHWISE_CONV_2D", "SELECT", "SELECT_V2"),
}

_SHAPED = frozenset(getattr(schema.BuiltinOperator, name) for names in _SHAPING.values() for name in names)
"""Operators whose inputs, but for the first, say how it is shaped: sizes, axes, paddings."""

OPERATORS = {
    getattr(schema.BuiltinOperator, name): count
    for group in (_SHAPING, _COMPUTING)
    for count, names in group.items()
    for name in names
}
"""What a graph may call, by its number in the schema, with the fewest and most inputs; each has one output.

Layers of small classifiers: no control flow, no variables, no code of somebody else's.
"""

_NAMES: dict[int, str] = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
"""What the schema calls each operator."""

_TYPES = frozenset(getattr(schema.TensorType, name) for name in ("FLOAT32", "INT8", "INT32", "INT64", "BOOL"))
"""Types of tensors; those of 8 bits are weights."""

_SAME_TYPE = frozenset(getattr(schema.BuiltinOperator, name) for name in _COMPUTING[1, 1]) - {
    schema.BuiltinOperator.QUANTIZE,
    schema.BuiltinOperator.DEQUANTIZE,
    schema.BuiltinOperator.CAST,
}
"""Operators that give the type that they take: LiteRT writes a softmax of floats over an output of bytes."""

_WIDE = frozenset(getattr(schema.BuiltinOperator, name) for name in _COMPUTING[2, 2])
"""Operators on two tensors, which LiteRT ends the process for where bytes have no dimensions, or more than four.

A product of matrices takes floats, and its second tensor may be weights of 8 bits.
"""

_PADDING = frozenset((schema.BuiltinOperator.PAD, schema.BuiltinOperator.PADV2))
"""Operators whose output LiteRT makes as large as numbers in the file say, whatever its declared shape is."""

_INTEGERS = {schema.TensorType.INT32: "<i4", schema.TensorType.INT64: "<i8"}
"""Whole numbers by their type in the schema, and in numpy."""

_ABSENT = -1
"""The index of an input that is left out, as only the bias of a linear layer can be."""


def check_graph(model: Any) -> None:  # noqa: ANN401
    """Return if the tensors and operators of a `ModelT` of the schema are of a kind that an export gives.

    Raises:
        ArtifactError: they are not; the message says what is there instead.
    """
    for code in model.operatorCodes:
        if code.customCode is not None or _number(code) not in OPERATORS:
            name = _name(_number(code))
            raise ArtifactError(f"its graph calls operator {name}, which is not on the list of operators")
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        shape = _list(tensor.shape)
        if not all(side > 0 for side in shape) or prod(shape) > MAX_ELEMENTS or tensor.isVariable:
            raise ArtifactError("a tensor of it has a size that no small classifier needs")
        if tensor.type not in _TYPES:
            raise ArtifactError(f"a tensor of it is of type {tensor.type}, which no small classifier needs")
        if len(shape) > MAX_SIDES:
            raise ArtifactError(f"a tensor of it has {len(shape)} dimensions, expected at most {MAX_SIDES}")
        if not 0 <= tensor.buffer < len(model.buffers):
            raise ArtifactError("a tensor of it has no buffer")
    stored = {index for index, tensor in enumerate(graph.tensors) if model.buffers[tensor.buffer].data is not None}
    for operator in graph.operators:
        if operator.customOptions is not None or not 0 <= operator.opcodeIndex < len(model.operatorCodes):
            raise ArtifactError("an operator of it is not one of its operators")
        number = _number(model.operatorCodes[operator.opcodeIndex])
        _check_operator(operator, number, graph.tensors, stored)
        if number in _PADDING:
            _check_paddings(operator, number, model)
    _check_order(model, graph, stored)


def shapes_of(model: Any) -> list[tuple[int, ...]]:  # noqa: ANN401
    """Return the shape of each tensor, as the file says it."""
    return [tuple(_list(tensor.shape)) for tensor in model.subgraphs[0].tensors]


def _check_operator(operator: Any, number: int, tensors: list[Any], stored: set[int]) -> None:  # noqa: ANN401
    """Refuse an operator, of a number in the schema, without the inputs and the output that LiteRT looks for."""
    inputs, outputs = _list(operator.inputs), _list(operator.outputs)
    fewest, most = OPERATORS[number]
    if not fewest <= len(inputs) <= most or len(outputs) != 1:
        raise ArtifactError(
            f"its operator {_name(number)} has {len(inputs)} inputs and {len(outputs)} outputs, "
            f"expected {fewest} to {most} inputs and 1 output"
        )
    if not all(0 <= index < len(tensors) for index in (*_present(inputs, number), *outputs)):
        raise ArtifactError("an operator of it has a tensor that is not there")
    typed = [*_present(inputs, number), *outputs]
    if number == schema.BuiltinOperator.BATCH_MATMUL and _are_weights(inputs[1], tensors, stored):
        typed.remove(inputs[1])
    types = {tensors[index].type for index in typed}
    if (number in _SAME_TYPE and len(types) > 1) or (number in _WIDE and schema.TensorType.INT8 in types):
        raise ArtifactError(f"its operator {_name(number)} does not take or give tensors of these types")
    if number in _SHAPED and any(prod(_list(tensors[index].shape)) > 2 * MAX_SIDES for index in inputs[1:]):
        raise ArtifactError("an operator of it is told more sizes than a tensor has dimensions")
    if number in _SHAPED and not stored.issuperset(inputs[1:]):
        raise ArtifactError("an operator of it is told sizes that are computed, expected those that are stored")


def _check_paddings(operator: Any, number: int, model: Any) -> None:  # noqa: ANN401
    """Refuse stored paddings that give another shape than the output's, whose size is limited."""
    tensors = model.subgraphs[0].tensors
    source, paddings = (tensors[index] for index in _list(operator.inputs)[:2])
    kind = _INTEGERS.get(paddings.type)
    if kind is None:
        raise ArtifactError(f"its operator {_name(number)} pads by numbers that are not whole")
    numbers, shape = np.frombuffer(bytes(model.buffers[paddings.buffer].data), kind).tolist(), _list(source.shape)
    if len(numbers) != 2 * len(shape) or min(numbers, default=0) < 0:
        raise ArtifactError(f"its operator {_name(number)} does not pad each side by numbers of at least 0")
    given = [sum(sides) for sides in zip(shape, numbers[::2], numbers[1::2], strict=True)]
    declared = _list(tensors[operator.outputs[0]].shape)
    if given != declared:
        raise ArtifactError(f"its operator {_name(number)} gives the shape {given}, the file says {declared}")


def _are_weights(index: int, tensors: list[Any], stored: set[int]) -> bool:
    """Return if a tensor is stored, and has as many dimensions as a product of matrices takes of bytes."""
    return index in stored and 2 <= len(_list(tensors[index].shape)) <= 4


def _check_order(model: Any, graph: Any, stored: set[int]) -> None:  # noqa: ANN401
    """Refuse a graph where a tensor is read before it is written, or is written twice or into the file's own data."""
    given = set(_list(graph.inputs))
    if given & stored or not given.issubset(range(len(graph.tensors))):
        raise ArtifactError("its input is not a tensor to write to")
    known = given | stored
    for operator in graph.operators:
        number = _number(model.operatorCodes[operator.opcodeIndex])
        if not known.issuperset(_present(_list(operator.inputs), number)):
            raise ArtifactError("an operator of it reads a tensor before it is computed")
        (output,) = _list(operator.outputs)
        if output in known:
            raise ArtifactError("an operator of it writes to a tensor that has its numbers already")
        known.add(output)
    if not known.issuperset(_list(graph.outputs)):
        raise ArtifactError("its output is not a tensor that is computed")


def _present(inputs: list[int], number: int) -> list[int]:
    """Return an operator's inputs without one that may be absent, and is."""
    if number == schema.BuiltinOperator.FULLY_CONNECTED and inputs[2:] == [_ABSENT]:
        return inputs[:2]
    return inputs


def _number(code: Any) -> int:  # noqa: ANN401
    """Return which operator an operator code stands for: files of both ages of the schema say it."""
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _name(number: int) -> str:
    """Return what the schema calls an operator, or its number where the schema does not have it."""
    return _NAMES.get(number, str(number))


def _list(numbers: Iterable[Any] | None) -> list[int]:
    return [] if numbers is None else [int(number) for number in numbers]
