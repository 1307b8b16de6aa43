"""Whole numbers that a graph computes from shapes and constants, which again are the shapes of what it computes."""

from collections.abc import Callable, Mapping

from mnist_edge.formats.onnx.shapes import Node, Shape, part_of_shape, slices

MAX_VALUES = 256
"""Most whole numbers that are followed as one value: a shape, or the axes, pads or indices of an operator."""

Values = tuple[int, ...]

_INT64 = 7


def output_values(
    node: Node, shapes: Mapping[str, Shape], values: Mapping[str, Values], fixed: Mapping[str, Values]
) -> Values | None:
    """Return what an operator gives, or None where that is not a list of whole numbers, or does not follow from shapes.

    Args:
        node: the operator, whose output shapes were found (`shapes.output_shapes`).
        shapes: of its inputs.
        values: those of its inputs that are known.
        fixed: those of them that are the same for any number of images: only these may choose among others, so that
            no number of images can be an entry of a table.
    """
    if node.kind == "Shape":
        return shapes[node.inputs[0]][part_of_shape(node)]
    rule = _RULES.get(node.kind)
    if rule is None or any(name not in values or len(shapes[name]) > 1 for name in node.inputs):
        return None
    if node.kind != "Concat" and any(name not in fixed for name in node.inputs[1:]):
        return None
    found = rule(node, values)
    return None if found is None or len(found) > MAX_VALUES else found


def _concat(node: Node, values: Mapping[str, Values]) -> Values:
    return tuple(each for name in node.inputs for each in values[name])


def _slice(node: Node, values: Mapping[str, Values]) -> Values:
    found = values[node.inputs[0]]
    for _, part in slices(node, 1, values):
        found = found[part]
    return found


def _gather(node: Node, values: Mapping[str, Values]) -> Values:
    return tuple(values[node.inputs[0]][index] for index in values[node.inputs[1]])


def _cast(node: Node, values: Mapping[str, Values]) -> Values | None:
    return values[node.inputs[0]] if node.integers.get("to") == (_INT64,) else None


def _same(node: Node, values: Mapping[str, Values]) -> Values:
    return values[node.inputs[0]]


_RULES: dict[str, Callable[[Node, Mapping[str, Values]], Values | None]] = {
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "Cast": _cast,
    **dict.fromkeys(("Identity", "Squeeze", "Unsqueeze", "Reshape"), _same),
}
