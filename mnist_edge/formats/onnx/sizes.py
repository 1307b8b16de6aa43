"""Sizes of all that a graph computes, followed from its input to its output before onnxruntime is given it."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.onnx.shapes import Node, Shape, flag, output_shapes
from mnist_edge.formats.onnx.values import Values, output_values

MAX_ELEMENTS = 1 << 20
"""Most numbers that a value between layers may have, for one image."""

MAX_PRODUCTS = 1_000_000_000
"""Most multiplications of one operator, or numbers that a pool looks at, for one image."""

MAX_MATRICES = 4_096
"""Most pairs of matrices that one operator multiplies, for one image: onnxruntime keeps a hundred bytes for each."""

MAX_COMPUTED = 4
"""Most numbers that may be computed from constants alone, for each number that is stored, beside `MAX_ELEMENTS`: a
weight of 4 bits is cast, multiplied by its step and reshaped, and may be transposed."""

MANY = 10_000
"""A number of images that no batch has."""

_SHAPED_BY_IMAGES = {"Reshape", "Expand"}
"""Operators that the number of images may tell a shape. All others are told by constants what they do."""

Sides = tuple[int | None, ...]
"""A shape with None for a symbolic side."""


class Constant(NamedTuple):
    """A stored tensor: its shape, and its values where they are few 64-bit integers, as shapes are."""

    shape: Shape
    values: Values | None


class _Step(NamedTuple):
    """What an operator does: the numbers that it gives, the products and the pairs of matrices that it takes."""

    kind: str
    elements: tuple[int, ...]
    products: int
    matrices: int
    of_constants: bool


def check_sizes(nodes: Sequence[Node], constants: Mapping[str, Constant], name: str, sides: Sides) -> None:
    """Return if a graph computes no more than a small classifier needs, for any number of images.

    Args:
        nodes: the operators, in the order of the computation.
        constants: the stored tensors by name.
        name: of the input.
        sides: of the input; the first is the number of images where it is symbolic.

    Raises:
        ArtifactError: another side of the input is symbolic, or it is stored; an operator gives or takes too much for
            one image, or what grows faster than the number of images; too much is computed from constants; or an
            operator is not on the list, or its inputs do not fit.
    """
    if not sides or None in sides[1:] or name in constants:
        raise ArtifactError("its input has no shape, or one that says more than the number of images by a name")
    shape = _for_images(1, sides)
    if prod(shape) > MAX_ELEMENTS:
        raise ArtifactError(f"its input has {prod(shape):,} numbers for an image, expected at most {MAX_ELEMENTS:,}")
    computed = MAX_ELEMENTS + MAX_COMPUTED * sum(prod(constant.shape) for constant in constants.values())
    steps = []
    for step in _steps(nodes, constants, name, shape):
        _check_step(step)
        computed -= sum(step.elements) if step.of_constants else 0
        if computed < 0:
            raise ArtifactError("it computes many more numbers from its constants than it has")
        steps.append(step)
    if sides[0] is None:
        for one, many in zip(steps, _steps(nodes, constants, name, _for_images(MANY, sides)), strict=True):
            _check_growth(one, many)


def _for_images(count: int, sides: Sides) -> Shape:
    return tuple(count if side is None else side for side in sides)


def _steps(nodes: Sequence[Node], constants: Mapping[str, Constant], name: str, shape: Shape) -> Iterator[_Step]:
    """Yield what each operator does, for an input of this name and shape."""
    shapes = {name: shape, **{name: constant.shape for name, constant in constants.items()}}
    fixed = {name: constant.values for name, constant in constants.items() if constant.values is not None}
    values, from_constants = dict(fixed), set(constants)
    for node in nodes:
        found = output_shapes(node, shapes, values if node.kind in _SHAPED_BY_IMAGES else fixed)
        known = output_values(node, shapes, values, fixed)
        outputs = dict(zip(node.outputs, found, strict=False))
        of_constants = from_constants.issuperset(filter(None, node.inputs))
        elements = tuple(map(prod, outputs.values()))
        yield _Step(node.kind, elements, *_work(node, shapes, found[0]), of_constants)
        shapes |= outputs
        for output in node.outputs:
            values.pop(output, None)
            fixed.pop(output, None)
        if known is not None and node.outputs:
            values[node.outputs[0]] = known
            if of_constants:
                fixed[node.outputs[0]] = known
        if of_constants:
            from_constants.update(outputs)


def _work(node: Node, shapes: Mapping[str, Shape], output: Shape) -> tuple[int, int]:
    """Return how many products an operator takes, or numbers a pool looks at, and how many pairs of matrices."""
    inputs = [shapes[name] for name in node.inputs if name]
    if node.kind in ("Conv", "ConvInteger"):
        return prod(output) * prod(inputs[1][1:]), 0
    if node.kind in ("MaxPool", "AveragePool"):
        return prod(output) * prod(node.integers["kernel_shape"]), 0
    if node.kind == "Gemm":
        return prod(output) * inputs[0][0 if flag(node, "transA") else 1], 0
    if node.kind in ("MatMul", "MatMulInteger"):
        return prod(output) * inputs[0][-1], prod(output[:-2]) if len(inputs[1]) > 2 else 0
    return 0, 0


def _check_step(step: _Step) -> None:
    if not step.of_constants and max(step.elements, default=0) > MAX_ELEMENTS:
        raise ArtifactError(
            f"its {step.kind} gives {max(step.elements):,} numbers for an image, expected at most {MAX_ELEMENTS:,}"
        )
    if step.products > MAX_PRODUCTS:
        raise ArtifactError(f"its {step.kind} takes {step.products:,} products, expected at most {MAX_PRODUCTS:,}")
    if step.matrices > MAX_MATRICES:
        raise ArtifactError(f"it multiplies more than {MAX_MATRICES:,} pairs of matrices in one operator")


def _check_growth(one: _Step, many: _Step) -> None:
    """Compare what an operator gives for one image and for many.

    What grows faster than the number of images grows like its square, since nothing is chosen by that number. It may
    be small beside what is added to it for a few images, and no longer for many.
    """
    if any(most > MANY * first for first, most in zip(one.elements, many.elements, strict=True)):
        raise ArtifactError(f"what its {one.kind} gives grows faster than the number of images")
