"""Sizes that a graph computes are read in its text, and inferred, before memory is asked for."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.batches import BatchLimit
from mnist_edge.formats.openvino.library import load_openvino
from mnist_edge.formats.openvino.representation import GRAPH, WEIGHTS, check_representation
from mnist_edge.formats.openvino.runner import compiled, predictor

if find_spec("openvino") is None:
    pytest.skip("needs mnist-edge[openvino]", allow_module_level=True)

load_openvino()  # without its telemetry

from openvino import opset13 as opset  # noqa: E402

SIDE = 5_000
"""Of a square of more numbers than an operator may give."""


def whole(*numbers: int, kind: type = np.int64) -> Any:  # noqa: ANN401
    return opset.constant(np.array(numbers, kind))


def everything(values: Any) -> Any:  # noqa: ANN401
    return opset.reduce_max(values, whole(0, 1), keep_dims=False)


def square(values: Any, kind: type = np.int64) -> Any:  # noqa: ANN401
    """Return the first of values, `SIDE` times `SIDE` times: each constant by itself asks for few numbers."""
    side = opset.convert(whole(SIDE, kind=kind), "i64")
    return opset.broadcast(everything(values), opset.concat([side, side], 0))


def outer(values: Any) -> Any:  # noqa: ANN401
    rows = opset.broadcast(everything(values), whole(SIDE, 1))
    return opset.multiply(rows, opset.broadcast(everything(values), whole(1, SIDE)))


def lesser_of_sides(values: Any) -> Any:  # noqa: ANN401
    rows = opset.broadcast(everything(values), whole(SIDE, 1))
    return opset.minimum(rows, opset.broadcast(everything(values), whole(1, SIDE)))


def chosen_by_sides(values: Any) -> Any:  # noqa: ANN401
    rows = opset.broadcast(everything(values), whole(SIDE, 1))
    columns = opset.broadcast(everything(values), whole(1, SIDE))
    return opset.select(opset.greater(rows, everything(values)), columns, everything(values))


def with_range(values: Any) -> Any:  # noqa: ANN401
    stop = opset.multiply(opset.constant(np.int64(SIDE)), opset.constant(np.int64(SIDE)))
    numbers = opset.range(opset.constant(np.int64(0)), stop, opset.constant(np.int64(1)), "f32")
    return opset.add(values, opset.reduce_max(numbers, whole(0), keep_dims=False))


def by_the_picture(values: Any) -> Any:  # noqa: ANN401
    side = opset.unsqueeze(opset.convert(everything(values), "i64"), whole(0))
    return opset.broadcast(everything(values), opset.concat([side, side], 0))


def by_a_square(values: Any) -> Any:  # noqa: ANN401
    one = everything(square(opset.reshape(whole(1), whole(1, 1), special_zero=False)))
    return opset.reshape(values, opset.concat([whole(-1), opset.unsqueeze(one, whole(0))], 0), special_zero=False)


def by_doubling(values: Any) -> Any:  # noqa: ANN401
    sizes = whole(1, 1)
    for _ in range(12):
        sizes = opset.concat([sizes, sizes], 0)
    return opset.reshape(values, opset.concat([whole(-1), opset.reduce_max(sizes, whole(0), keep_dims=True)], 0), False)


def by_many_operators(values: Any) -> Any:  # noqa: ANN401
    size = opset.constant(np.int64(1))
    for _ in range(150):
        size = opset.add(size, opset.constant(np.int64(0)))
    return opset.reshape(values, opset.concat([whole(-1), opset.unsqueeze(size, whole(0))], 0), special_zero=False)


def images_of(values: Any) -> Any:  # noqa: ANN401
    return opset.gather(opset.shape_of(values), whole(0), opset.constant(np.int64(0)))


def by_the_greater(values: Any) -> Any:  # noqa: ANN401
    count = opset.maximum(images_of(values), opset.constant(np.int64(1)))
    return opset.broadcast(everything(values), opset.concat([count, whole(1)], 0))


def by_a_part(values: Any) -> Any:  # noqa: ANN401
    parts = opset.split(opset.shape_of(values), opset.constant(np.int64(0)), 2)
    return opset.broadcast(everything(values), opset.concat([parts.output(0), whole(1)], 0))


def split_along_the_picture(values: Any) -> Any:  # noqa: ANN401
    return opset.split(values, opset.convert(everything(values), "i64"), 2).output(0)


def in_many_parts(values: Any) -> Any:  # noqa: ANN401
    return opset.split(opset.broadcast(everything(values), whole(1, 65)), opset.constant(np.int64(1)), 65).output(0)


def in_many_unequal_parts(values: Any) -> Any:  # noqa: ANN401
    row = opset.broadcast(everything(values), whole(1, 65))
    return opset.variadic_split(row, opset.constant(np.int64(1)), whole(*[1] * 65)).output(0)


def in_computed_parts(values: Any) -> Any:  # noqa: ANN401
    half = opset.add(whole(300, 400), whole(42, 42))
    return opset.variadic_split(values, opset.constant(np.int64(1)), half).output(0)


def in_parts_behind_the_end(values: Any) -> Any:  # noqa: ANN401
    return opset.variadic_split(values, opset.constant(np.int64(0)), whole(1, 1_000)).output(0)


def repeated(values: Any) -> Any:  # noqa: ANN401
    column = opset.tile(everything(values), whole(SIDE, 1))
    return opset.tile(column, whole(1, SIDE))


def repeated_by_the_images(values: Any) -> Any:  # noqa: ANN401
    return opset.tile(values, opset.concat([images_of(values), whole(1)], 0))


def pooled_to_a_square(values: Any) -> Any:  # noqa: ANN401
    image = opset.reshape(values, whole(-1, 1, 28, 28), special_zero=False)
    side = opset.convert(whole(SIDE), "i64")
    pooled = opset.adaptive_max_pool(image, opset.concat([side, side], 0), "i64").output(0)
    return opset.reshape(pooled, whole(-1, SIDE), special_zero=False)


def by_the_images_squared(values: Any) -> Any:  # noqa: ANN401
    count = images_of(values)
    return opset.broadcast(everything(values), opset.concat([opset.multiply(count, count), whole(1)], 0))


def by_a_power_of_the_images(values: Any) -> Any:  # noqa: ANN401
    return opset.broadcast(everything(values), opset.concat([opset.power(images_of(values), whole(8)), whole(1)], 0))


SIZES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "joined": (square, "gives more numbers than a small classifier needs"),
    "joined, of 16 bits": (partial(square, kind=np.int16), "gives more numbers than a small classifier needs"),
    "multiplied": (outer, "gives more numbers than a small classifier needs"),
    "compared": (lesser_of_sides, "gives more numbers than a small classifier needs"),
    "chosen": (chosen_by_sides, "gives more numbers than a small classifier needs"),
    "counted": (with_range, "gives more numbers than a small classifier needs"),
    "split into many unequal parts": (
        in_many_unequal_parts,
        "its VariadicSplit takes other sizes than at most 64 stored",
    ),
    "split into parts that are computed": (
        in_computed_parts,
        "its VariadicSplit takes other sizes than at most 64 stored",
    ),
    "split behind the end": (in_parts_behind_the_end, "OpenVINO cannot load it"),
    "repeated": (repeated, "gives more numbers than a small classifier needs"),
    "repeated by the images": (repeated_by_the_images, "its Tile takes other sizes than at most 64 stored"),
    "pooled to a square": (pooled_to_a_square, "gives more numbers than a small classifier needs"),
    "of the images, squared": (by_the_images_squared, "gives 4 numbers for 2 images and 1 for one"),
    "a power of the images": (by_a_power_of_the_images, "computes a size by 'Power'"),
    "the greater of two": (by_the_greater, "computes a size by 'Maximum'"),
    "a part of a shape": (by_a_part, "computes a size by 'Split'"),
    "split along what is read in the picture": (split_along_the_picture, "computes a size by 'Parameter'"),
    "split into many parts": (in_many_parts, "its Split gives 65 parts, expected 1 to 64"),
    "read in the picture": (by_the_picture, "computes a size by 'Parameter'"),
    "computed from a large square": (by_a_square, "computes a size by 'Broadcast'"),
    "computed from many": (by_doubling, "computes a size from more than 1,024 numbers"),
    "computed at length": (by_many_operators, "computes a size by more than 100 operators"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SIZES)
def test_what_a_graph_computes_sizes_by_is_limited(case: str, tmp_path: Path) -> None:
    computed, message = SIZES[case]
    with pytest.raises(ArtifactError, match=message):
        checked_and_compiled(computed, tmp_path)


@pytest.mark.slow
def test_whole_numbers_that_are_not_sizes_may_have_any_product(tmp_path: Path) -> None:
    def turned(values: Any) -> Any:  # noqa: ANN401
        return opset.gather(values, whole(*reversed(range(784))), opset.constant(np.int64(1)))

    pictures = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    found = predictor(*checked_and_compiled(turned, tmp_path))(pictures)
    np.testing.assert_allclose(found, pictures.reshape(3, 784) + pictures.max())


@pytest.mark.slow
def test_a_size_too_large_is_refused_by_its_name(tmp_path: Path) -> None:
    def large(values: Any) -> Any:  # noqa: ANN401
        return opset.broadcast(everything(values), opset.constant(np.array([SIDE, SIDE]), name="large"))

    with pytest.raises(ArtifactError, match="its constant 'large' is a size of more than 16,777,216 numbers"):
        checked_and_compiled(large, tmp_path)


@pytest.mark.slow
def test_a_batch_is_limited_by_what_its_size_gives(tmp_path: Path) -> None:
    """For one image and for two this graph gives the same, and for three a million numbers more."""

    def by_images_beyond_two(values: Any) -> Any:  # noqa: ANN401
        beyond = opset.clamp(opset.subtract(images_of(values), opset.constant(np.int64(2))), 0, 1_000)
        many = opset.add(opset.multiply(beyond, opset.constant(np.int64(1 << 20))), opset.constant(np.int64(1)))
        return opset.broadcast(opset.constant(np.float32(0)), opset.concat([many, whole(1)], 0))

    run = predictor(*checked_and_compiled(by_images_beyond_two, tmp_path))
    for images in (1, 2):
        assert run(np.zeros((images, 1, 28, 28), np.float32)).shape == (images, 784)
    with pytest.raises(ArtifactError, match="gives 1,048,577 numbers for 3 images and 1 for one"):
        run(np.zeros((3, 1, 28, 28), np.float32))


def checked_and_compiled(computed: Callable[[Any], Any], folder: Path) -> tuple[Any, BatchLimit]:
    """Return a graph that adds to the picture what is computed of it, as it is read from files."""
    openvino = load_openvino()
    picture = opset.parameter([-1, 1, 28, 28], np.float32)
    values = opset.reshape(picture, whole(-1, 784), special_zero=False)
    model = openvino.Model([opset.add(values, everything(computed(values)))], [picture], "sizes")
    openvino.serialize(model, folder / GRAPH, folder / WEIGHTS)
    graph, weights = ((folder / name).read_bytes() for name in (GRAPH, WEIGHTS))
    check_representation(graph, weights)
    return compiled(graph, weights)
