"""Shapes of the operators of small classifiers, by their definitions in ONNX (Operators.md), for one image."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from mnist_edge.errors import ArtifactError

Shape = tuple[int, ...]


AUTO_PAD = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
"""By what rule a window is padded: by the numbers that are given, not at all, or so that it fits once for each step."""


class Node(NamedTuple):
    """An operator: its type, the names of its inputs and outputs, and its whole numbers by attribute.

    `auto_pad` is a place in `AUTO_PAD`.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: dict[str, tuple[int, ...]]


def output_shapes(node: Node, shapes: Mapping[str, Shape], values: Mapping[str, tuple[int, ...]]) -> Sequence[Shape]:
    """Return the shapes of an operator's outputs.

    Args:
        node: the operator.
        shapes: of everything that was computed before it, and of constants.
        values: of constants that are shapes.

    Raises:
        ArtifactError: it is not on the list of operators of small classifiers, or its inputs do not fit.
    """
    rule = _RULES.get(node.kind)
    if rule is None:
        raise ArtifactError(f"it has the operator {node.kind[:60]!r}, which is not on the list of small classifiers")
    missing = [name for name in node.inputs if name and name not in shapes]
    if missing or not node.inputs or not node.inputs[0]:
        what = f"{missing[0][:60]!r}, which nothing gives" if missing else "no input"
        raise ArtifactError(f"its {node.kind} takes {what}")
    inputs = [shapes[name] for name in node.inputs if name]
    try:
        return rule(node, inputs, values)
    except (LookupError, ValueError, ZeroDivisionError) as error:
        raise ArtifactError(f"the inputs of its {node.kind} do not fit together") from error


def flag(node: Node, name: str, default: int = 0) -> bool:
    """Return an attribute that is 0 or 1; raises `ValueError` where it is not."""
    (value,) = node.integers.get(name, (default,))
    if value not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return value == 1


def _same(_: Node, inputs: list[Shape], __: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [inputs[0]]


def _quantized(_: Node, inputs: list[Shape], __: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [inputs[0], (), ()]


def _broadcast(_: Node, inputs: list[Shape], __: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [_together(inputs)]


def _together(shapes: list[Shape]) -> Shape:
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(max(sides) for sides in zip(*padded, strict=True))


def _reshape(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    target = [inputs[0][place] if side == 0 else side for place, side in enumerate(values[node.inputs[1]])]
    known = prod(side for side in target if side > 0)
    shape = tuple(prod(inputs[0]) // known if side < 0 else side for side in target)
    if prod(shape) != prod(inputs[0]):
        raise ValueError("another number of elements")
    return [shape]


def _flatten(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    (axis,) = node.integers.get("axis", (1,))
    return [(prod(inputs[0][:axis]), prod(inputs[0][axis:]))]


def _transpose(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    order = node.integers.get("perm", tuple(reversed(range(len(inputs[0])))))
    if sorted(order) != list(range(len(inputs[0]))):
        raise ValueError("not a permutation")
    return [tuple(inputs[0][axis] for axis in order)]


def _gemm(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    first, second = inputs[:2]
    rows, inner = reversed(first) if flag(node, "transA") else first
    others, columns = reversed(second) if flag(node, "transB") else second
    _same_number(inner, others)
    return [(rows, columns)]


def _matmul(_: Node, inputs: list[Shape], __: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    first, second = inputs[:2]
    if min(len(first), len(second)) < 2:
        raise ValueError("not a matrix")
    _same_number(first[-1], second[-2])
    return [(*_together([first[:-2], second[:-2]]), first[-2], second[-1])]


def _same_number(first: int, second: int) -> None:
    if first != second:
        raise ValueError("another number of elements")


def _convolution(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    image, weight = inputs[:2]
    (group,) = node.integers.get("group", (1,))
    _same_number(image[1], weight[1] * group)
    return [(image[0], weight[0], *slide(node, image[2:], weight[2:]))]


def _pool(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [(*inputs[0][:2], *slide(node, inputs[0][2:], node.integers["kernel_shape"]))]


def slide(node: Node, sides: Shape, kernel: Shape) -> list[int]:
    """Return how often a window fits along each side; raises `ValueError` where it does not."""
    rank = len(sides)
    strides, dilations = (node.integers.get(name, (1,) * rank) for name in ("strides", "dilations"))
    pads = node.integers.get("pads", (0,) * (2 * rank))
    if not rank == len(kernel) == len(strides) == len(dilations) == len(pads) // 2 or min(*strides, *dilations) < 1:
        raise ValueError("another number of dimensions")
    ceil, (rule,) = flag(node, "ceil_mode"), node.integers.get("auto_pad", (0,))
    if AUTO_PAD[rule].startswith("SAME"):
        return [-(-side // stride) for side, stride in zip(sides, strides, strict=True)]
    if AUTO_PAD[rule] == "VALID":
        pads = (0,) * (2 * rank)
    fits = []
    for axis, side in enumerate(sides):
        room = side + pads[axis] + pads[rank + axis] - dilations[axis] * (kernel[axis] - 1) - 1
        steps = -(-room // strides[axis]) if ceil else room // strides[axis]
        beyond = ceil and steps * strides[axis] >= side + pads[axis]  # a window that would begin in the padding
        fits.append(steps + (0 if beyond else 1))
    if min(fits) < 1 or min(pads) < 0:
        raise ValueError("the window does not fit")
    return fits


def _global_pool(_: Node, inputs: list[Shape], __: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [(*inputs[0][:2], *(1 for _ in inputs[0][2:]))]


def _reduce(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    axes = node.integers.get("axes") or values[node.inputs[1]]
    if not axes and not flag(node, "noop_with_empty_axes"):
        axes = tuple(range(len(inputs[0])))
    dropped, keep = {axis % len(inputs[0]) for axis in axes}, flag(node, "keepdims", default=1)
    sides = ((1 if axis in dropped else side, axis) for axis, side in enumerate(inputs[0]))
    return [tuple(side for side, axis in sides if keep or axis not in dropped)]


def _squeeze(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    dropped = {axis % len(inputs[0]) for axis in values[node.inputs[1]]}
    if not dropped or any(inputs[0][axis] != 1 for axis in dropped):
        raise ValueError("no side, or one that is not 1")
    return [tuple(side for axis, side in enumerate(inputs[0]) if axis not in dropped)]


def _unsqueeze(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    axes = values[node.inputs[1]]
    rank = len(inputs[0]) + len(axes)
    added, sides = {axis % rank for axis in axes}, iter(inputs[0])
    return [tuple(1 if axis in added else next(sides) for axis in range(rank))]


def _concat(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    (axis,) = node.integers["axis"]
    axis %= len(inputs[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in inputs}) != 1:
        raise ValueError("another shape")
    return [(*inputs[0][:axis], sum(shape[axis] for shape in inputs), *inputs[0][axis + 1 :])]


def _split(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    (axis,) = node.integers.get("axis", (0,))
    axis %= len(inputs[0])
    side, parts = inputs[0][axis], len(node.outputs)
    each = -(-side // parts)
    equal = (*(each for _ in range(parts - 1)), side - each * (parts - 1))
    sizes = values[node.inputs[1]] if len(node.inputs) > 1 and node.inputs[1] else equal
    if len(sizes) != parts or min(sizes) < 0 or sum(sizes) != side:
        raise ValueError("other parts")
    return [(*inputs[0][:axis], size, *inputs[0][axis + 1 :]) for size in sizes]


def _slice(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    sides = list(inputs[0])
    for axis, part in slices(node, len(sides), values):
        sides[axis] = len(range(*part.indices(sides[axis])))
    return [tuple(sides)]


def slices(node: Node, rank: int, values: Mapping[str, tuple[int, ...]]) -> list[tuple[int, slice]]:
    """Return the axes that a `Slice` cuts, and where; their numbers must be known, and their steps positive."""
    starts, ends = values[node.inputs[1]], values[node.inputs[2]]
    given = [values[name] if name else None for name in node.inputs[3:]]
    axes, steps = (*given, None, None)[:2]
    axes = tuple(axis % rank for axis in (range(len(starts)) if axes is None else axes))
    steps = steps or (1,) * len(starts)
    if min(steps) < 1 or len(set(axes)) < len(axes):
        raise ValueError("backwards, or twice along a side")
    parts = map(slice, starts, ends, steps)
    return list(zip(axes, parts, strict=True))


def _gather(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    (axis,) = node.integers.get("axis", (0,))
    axis %= len(inputs[0])
    side = inputs[0][axis]
    if any(not -side <= index < side for index in values[node.inputs[1]]):
        raise ValueError("not on that side")
    return [(*inputs[0][:axis], *inputs[1], *inputs[0][axis + 1 :])]


def _expand(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [_together([inputs[0], values[node.inputs[1]]])]


def _shape(node: Node, inputs: list[Shape], _: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    return [(len(inputs[0][part_of_shape(node)]),)]


def part_of_shape(node: Node) -> slice:
    """Return which sides a `Shape` gives."""
    (start,), end = node.integers.get("start", (0,)), node.integers.get("end", (None,))
    return slice(start, *end)


def _pad(node: Node, inputs: list[Shape], values: Mapping[str, tuple[int, ...]]) -> list[Shape]:
    rank, pads = len(inputs[0]), values[node.inputs[1]]
    if len(pads) != 2 * rank or min(pads) < 0 or len(node.inputs) > 3:
        raise ValueError("pads of other sides")
    return [tuple(side + pads[axis] + pads[rank + axis] for axis, side in enumerate(inputs[0]))]


_Rule = Callable[[Node, list[Shape], Mapping[str, tuple[int, ...]]], list[Shape]]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Relu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid", "Tanh", "Gelu", "Softplus", "Erf"), _same),
    **dict.fromkeys(("Identity", "Cast", "Neg", "Abs", "Sign", "Exp", "Sqrt", "Clip", "Softmax", "LogSoftmax"), _same),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "QuantizeLinear", "DequantizeLinear"), _same),
    "DynamicQuantizeLinear": _quantized,
    **dict.fromkeys(("HardSwish", "Selu", "Celu", "Mish", "Log", "Reciprocal"), _same),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu"), _broadcast),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where"), _broadcast),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2"), _reduce),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Pad": _pad,
    "Shape": _shape,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Gemm": _gemm,
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger"), _convolution),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
}
"""The operators of small classifiers, and what shapes they give."""

OPERATORS = frozenset(_RULES)
"""What a graph may hold."""
