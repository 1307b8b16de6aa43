"""ONNX files that others made: what our own field reader sees in them, and what runs where that finds nothing wrong.

Needs onnxruntime and numpy alone, and onnxruntime only to run a file.
"""

from collections import Counter
from itertools import islice
from math import prod
from pathlib import Path

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.build import ForeignTensor, Outline
from mnist_edge.formats.onnx.protobuf import Value, fields, varints
from mnist_edge.formats.onnx.structure import MAX_BYTES, check_structure
from mnist_edge.types import Predict

_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
"""TensorProto.DataType, as far as inputs of classifiers have it."""

MAX_LISTED = 1_000
"""Most inputs, outputs, kinds of operators and versions of operators of a file that is described."""

MAX_SIDES = 16
"""Most sides of a stored tensor."""


def outline(bundle: Bundle, *, trusted: bool = False) -> Outline | None:
    """Return what a file is, as far as it can be read without running it; None where it carries a contract of ours.

    Args:
        bundle: the file.
        trusted: whether the caller made it, so that it may have any size.

    Raises:
        ArtifactError: it is not an ONNX file, is damaged, or is too large to be looked into.
    """
    data = bundle.data
    if len(data) > MAX_BYTES and not trusted:
        raise ArtifactError(f"it has {len(data):,} bytes, expected at most {MAX_BYTES:,}")
    texts: dict[int, str] = {}
    opsets: dict[str, int] = {}
    graphs: list[memoryview] = []
    keys: list[str] = []
    for number, value in fields(memoryview(data)):
        if number in (2, 3):
            texts[number] = _text(value)
        elif number == 7:
            graphs.append(_bytes(value))
        elif number == 8:
            domain, version = _opset(_bytes(value))
            opsets[domain or "ai.onnx"] = version
            if len(opsets) > MAX_LISTED:
                raise ArtifactError(f"it needs more than {MAX_LISTED:,} sets of operators")
        elif number == 14:
            keys += [_text(part) for each, part in fields(_bytes(value)) if each == 1]
    if not graphs:
        raise ArtifactError("it is not an ONNX file: it holds no graph")
    if CONTRACT_KEY in keys:
        return None
    inputs, outputs, operators, parameters = _graph(graphs[0])
    producer = " ".join(texts[number] for number in (2, 3) if texts.get(number))
    return Outline(producer, opsets, inputs, outputs, operators, parameters, _refusal(data))


def open_foreign(bundle: Bundle, found: Outline) -> Predict:
    """Open a file with this outline to run it, after the same checks of its structure as a file of ours.

    Raises:
        ArtifactError: its structure is refused, or onnxruntime can't load it.
    """
    if found.refusal:
        raise ArtifactError(found.refusal)
    from mnist_edge.formats.onnx.runner import open_session, predictor

    return predictor(open_session(bundle.data))


def open_trusted(path: Path) -> Predict:
    """Open a file that the caller made, with the weights beside it and whatever operators onnxruntime has.

    Raises:
        ArtifactError: onnxruntime can't load it.
    """
    from mnist_edge.formats.onnx.runner import open_session, predictor

    return predictor(open_session(str(path)))


def _refusal(data: bytes) -> str:
    try:
        check_structure(data, one_by_one=True)
    except ArtifactError as error:
        return str(error)
    return ""


def _graph(
    graph: memoryview,
) -> tuple[tuple[ForeignTensor, ...], tuple[ForeignTensor, ...], dict[str, int], int]:
    """Return inputs, outputs, how often each operator occurs, and how many numbers are stored."""
    operators: Counter[str] = Counter()
    inputs: list[ForeignTensor] = []
    outputs: list[ForeignTensor] = []
    constants: set[str] = set()
    parameters = 0
    for number, value in fields(graph):
        if number == 1:
            operators[_operator(_bytes(value))] += 1
        elif number == 5:
            name, size = _constant(_bytes(value))
            constants.add(name)
            parameters += size
        elif number == 11:
            inputs.append(_tensor(_bytes(value)))
        elif number == 12:
            outputs.append(_tensor(_bytes(value)))
    if max(map(len, (inputs, outputs, operators))) > MAX_LISTED:
        raise ArtifactError(f"it has more than {MAX_LISTED:,} inputs, outputs or kinds of operators")
    given = tuple(tensor for tensor in inputs if tensor.name not in constants)  # before IR version 4, both were listed
    return given, tuple(outputs), dict(operators), parameters


def _operator(node: memoryview) -> str:
    found = dict(fields(node))
    kind, domain = (_text(found[number]) if number in found else "" for number in (4, 7))
    return f"{domain}.{kind}" if domain else kind


def _constant(tensor: memoryview) -> tuple[str, int]:
    name = ""
    sides: list[int] = []
    for number, value in fields(tensor):
        if number == 8:
            name = _text(value)
        elif number == 1:
            sides += [value] if isinstance(value, int) else list(islice(varints(value), MAX_SIDES + 1))
        if len(sides) > MAX_SIDES:
            raise ArtifactError(f"a tensor in it has more than {MAX_SIDES} sides")
    return name, prod(sides)


def _tensor(info: memoryview) -> ForeignTensor:
    """Return a ValueInfoProto: name, element type, and sides, which are numbers, names, or ? where nothing is said."""
    name, dtype = "", "unknown"
    sides: list[int | str] = []
    for number, value in fields(info):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for kind, tensor in fields(_bytes(value)):
                if kind != 1:
                    continue
                for part, content in fields(_bytes(tensor)):
                    if part == 1 and isinstance(content, int):
                        dtype = _ELEMENT_TYPES.get(content, f"type {content}")
                    elif part == 2:
                        sides = [_side(_bytes(side)) for each, side in fields(_bytes(content)) if each == 1]
    return ForeignTensor(name, dtype, tuple(sides))


def _side(dimension: memoryview) -> int | str:
    for number, value in fields(dimension):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2:
            return _text(value)
    return "?"


def _opset(entry: memoryview) -> tuple[str, int]:
    found = dict(fields(entry))
    version = found.get(2, 0)
    return _text(found[1]) if 1 in found else "", version if isinstance(version, int) else 0


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ArtifactError("it is not an ONNX file, or is damaged")
    return value


def _text(value: Value) -> str:
    return str(_bytes(value), "utf-8", "replace")[:200]
