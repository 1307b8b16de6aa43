"""Operators by their definition in ONNX (Operators.md), for ONNX's reference implementation, whose own err (onnx 1.23).

Its `MaxPool` of stride 1 pads the wrong sides where height and width are padded differently, and with `ceil_mode`
counts windows that begin behind the image. Its `AveragePool` moves all windows where one ends far behind the padding.
Its `LogSoftmax` takes the logarithm of a softmax, which is 0 for the lesser of two logits 746 apart. Its `Sigmoid`
warns of the overflow of a value that it does not take.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from mnist_edge.formats.onnx.shapes import AUTO_PAD, Node, Shape, slide
from mnist_edge.types import AnyArray, BoolMask


class MaxPool(OpRun):
    """The largest value of each window."""

    op_domain = ""

    def _run(self, values: AnyArray, **attributes: object) -> tuple[AnyArray]:
        lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
        for axis, seen in enumerate(_seen(values.shape[2:], attributes), 2):
            values = reduce(np.maximum, seen.places(values, axis, values.dtype.type(lowest)))
        return (values,)


class AveragePool(OpRun):
    """The average of each window: of the values in the image, or with the zeros of its padding."""

    op_domain = ""

    def _run(self, values: AnyArray, **attributes: object) -> tuple[AnyArray]:
        total, count = values.astype(np.float64), np.ones(1)
        for axis, seen in enumerate(_seen(values.shape[2:], attributes), 2):
            total = reduce(np.add, seen.places(total, axis, np.float64(0)))
            counted = seen.in_padding if attributes.get("count_include_pad") else seen.in_image
            count = np.multiply.outer(count, counted.sum(axis=0))
        return ((total / count).astype(values.dtype),)


class LogSoftmax(OpRun):
    """The logarithm of the softmax along an axis, from the differences of the logits."""

    op_domain = ""

    def _run(self, values: AnyArray, axis: int | None = None) -> tuple[AnyArray]:
        along = -1 if axis is None else axis
        below = values - values.max(along, keepdims=True)
        return ((below - np.log(np.exp(below).sum(along, keepdims=True))).astype(values.dtype),)


class Sigmoid(OpRun):
    """The logistic function, from an exponential of at most 1."""

    op_domain = ""

    def _run(self, values: AnyArray) -> tuple[AnyArray]:
        small = np.exp(-np.abs(values))
        return ((np.where(values > 0, 1, small) / (1 + small)).astype(values.dtype),)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What windows see along one side of an image.

    Attributes:
        positions: `[places of a window, windows]`; below 0 in the padding before the image.
        side: of the image.
        after: padding behind it.
    """

    positions: NDArray[np.int64]
    side: int
    after: int

    @property
    def in_image(self) -> BoolMask:
        """Where a position is one of the image."""
        return (self.positions >= 0) & (self.positions < self.side)

    @property
    def in_padding(self) -> BoolMask:
        """Where it is one of the image or its padding, of which `ceil_mode` may leave the end."""
        return self.positions < self.side + self.after

    def places(self, values: AnyArray, axis: int, outside: np.generic) -> Iterator[AnyArray]:
        """Yield for each place of a window what all windows have there along an axis."""
        shape = [-1 if other == axis else 1 for other in range(values.ndim)]
        taken = self.positions.clip(0, self.side - 1)
        for row, inside in zip(taken, self.in_image, strict=True):
            yield np.where(inside.reshape(shape), np.take(values, row, axis), outside)


def _seen(sides: Shape, attributes: Mapping[str, Any]) -> list[_Seen]:
    """Return what the windows of a pool see along each side; attributes that are not given are missing, or None."""
    rank, rule = len(sides), attributes.get("auto_pad") or "NOTSET"
    kernel = tuple(attributes["kernel_shape"])
    strides, dilations = (tuple(attributes.get(name) or (1,) * rank) for name in ("strides", "dilations"))
    pads = tuple(attributes.get("pads") or (0,) * (2 * rank))
    numbers = {"strides": strides, "dilations": dilations, "pads": pads, "auto_pad": (AUTO_PAD.index(rule),)}
    outputs = slide(Node("", (), (), {**numbers, "ceil_mode": (attributes.get("ceil_mode") or 0,)}), sides, kernel)
    result = []
    for axis, (side, places, count) in enumerate(zip(sides, kernel, outputs, strict=True)):
        stride, dilation = strides[axis], dilations[axis]
        needed = max(0, (count - 1) * stride + (places - 1) * dilation + 1 - side)
        before, after = {
            "NOTSET": (pads[axis], pads[rank + axis]),
            "VALID": (0, 0),
            "SAME_UPPER": (needed // 2, needed - needed // 2),
            "SAME_LOWER": (needed - needed // 2, needed // 2),
        }[rule]
        positions = np.arange(count) * stride + np.arange(places)[:, np.newaxis] * dilation - before
        result.append(_Seen(positions, side, after))
    return result
