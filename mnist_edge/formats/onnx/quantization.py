"""The ways to put an ONNX graph's weights into 8 bits, and what the outcome gives by definition."""

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantType, quantize_dynamic

from mnist_edge.parity.weights import Stored, as_float

SAFE_INT8 = 64
"""Greatest |weight| in signed 8 bits that can't saturate.

x86 CPUs without VNNI add two products of an unsigned and a signed byte in 16 bits (`vpmaddubsw`, Intel SDM vol. 2):
2 · 255 · 64 = 32,640 fits below 32,767; 2 · 255 · 65 does not.
"""

INTEGER_PRODUCTS = {"MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"}
"""Operators that multiply and add in integers."""

_DYNAMIC = {
    "dynamic-u8": (QuantType.QUInt8, False, False),
    "dynamic-u8-channel": (QuantType.QUInt8, True, False),
    "dynamic-s8-reduced": (QuantType.QInt8, False, True),
    "dynamic-s8-reduced-channel": (QuantType.QInt8, True, True),
    "dynamic-s8": (QuantType.QInt8, False, False),
    "dynamic-s8-channel": (QuantType.QInt8, True, False),
}
"""onnxruntime's dynamic quantisation: weight type, a scale for each output channel, 7 instead of 8 bits."""

_WEIGHT_ONLY = {"weight-only-s8": False, "weight-only-s8-channel": True}
"""Weights in 8 bits that are turned back into floats before they are used: whether each output channel has a scale."""

SCHEMES = (*_WEIGHT_ONLY, *_DYNAMIC)
"""What `quantize` knows."""


def quantize(graph: onnx.ModelProto, scheme: str) -> onnx.ModelProto:
    """Return the graph with weights in 8 bits; `scheme` is one of `SCHEMES`."""
    if scheme in _WEIGHT_ONLY:
        return _weight_only(graph, per_channel=_WEIGHT_ONLY[scheme])
    weight_type, per_channel, reduce_range = _DYNAMIC[scheme]
    with tempfile.TemporaryDirectory() as folder, quiet("root"):
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(graph, path, weight_type=weight_type, per_channel=per_channel, reduce_range=reduce_range)
        return onnx.load(path)


def _weight_only(graph: onnx.ModelProto, *, per_channel: bool) -> onnx.ModelProto:
    """Return the graph with a `DequantizeLinear` before each use of a weight, symmetric about 0."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    axes = {name: axis for node in graph.graph.node for name, axis in _weight_axis(node)}
    for tensor in [tensor for tensor in result.graph.initializer if tensor.name in axes]:
        weights = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        axis = axes[tensor.name]
        others = tuple(side for side in range(weights.ndim) if side != axis) if per_channel else None
        scale = np.maximum(np.abs(weights).max(axis=others, keepdims=True) / 127, 1e-30).astype(np.float32)
        quantized = np.rint(weights / scale).clip(-127, 127).astype(np.int8)
        stored = scale.ravel() if per_channel else scale.reshape(())
        names = [f"{tensor.name}_quantized", f"{tensor.name}_scale"]
        node = onnx.helper.make_node("DequantizeLinear", names, [tensor.name], f"{tensor.name}_dequantize")
        if per_channel:
            node.attribute.append(onnx.helper.make_attribute("axis", axis))
        result.graph.initializer.remove(tensor)
        for array, name in zip((quantized, stored), names, strict=True):
            result.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        result.graph.node.insert(0, node)
    return result


def _weight_axis(node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
    """Yield the name of the node's weight, where it has one, and the axis of its output channels."""
    if node.op_type in ("Gemm", "MatMul", "Conv"):
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        yield node.input[1], 0 if transposed or node.op_type == "Conv" else 1


def saturating_weights(graph: onnx.ModelProto) -> list[str]:
    """Return a line for each weight that gives wrong sums on an x86 CPU without VNNI; see `SAFE_INT8`."""
    used = {name for node in graph.graph.node if node.op_type in INTEGER_PRODUCTS for name in node.input}
    problems = []
    for tensor in graph.graph.initializer:
        if tensor.name in used and tensor.data_type == onnx.TensorProto.INT8:
            largest = int(np.abs(onnx.numpy_helper.to_array(tensor).astype(np.int16)).max(initial=0))
            if largest > SAFE_INT8:
                problems.append(
                    f"{tensor.name} holds signed weights up to {largest}, which saturate on x86 CPUs without VNNI: "
                    f"expected unsigned ones, or at most {SAFE_INT8}"
                )
    return problems


def stored_weights(graph: onnx.ModelProto) -> dict[str, Stored]:
    """Return the graph's weights under the names that the trained model has for them.

    `quantize` and onnxruntime call a quantised `w` `w_quantized`, its scale `w_scale`, its zero point `w_zero_point`;
    torch's exporter calls the bias of a convolution `c` into which it folds batch normalisation `c.weight_bias`.
    """
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    multiplied = {node.input[1] for node in graph.graph.node if node.op_type in ("MatMul", "MatMulInteger")}
    result = {}
    for name, array in tensors.items():
        if name.endswith("_quantized"):
            plain = name.removesuffix("_quantized")
            stored = _from_bytes(
                array, tensors[f"{plain}_scale"], tensors.get(f"{plain}_zero_point"), name in multiplied
            )
            result[plain] = stored if name not in multiplied else _transposed(stored)
        elif array.dtype == np.float32 and not name.endswith("_scale"):
            stored = as_float(array.T if name in multiplied else array)
            result[re.sub(r"\.weight_bias$", ".bias", name)] = stored
    return result


def _from_bytes(
    numbers: NDArray[Any], scale: NDArray[np.float32], zero_point: NDArray[Any] | None, columns: bool
) -> Stored:
    """Return a quantised weight; a scale for each output channel is one for each column of a matrix that multiplies."""
    per_channel = scale.size > 1
    shape = [-1 if side == (numbers.ndim - 1 if columns else 0) else 1 for side in range(numbers.ndim)]
    step = scale.reshape(shape) if per_channel else scale.reshape([1] * numbers.ndim)
    zero = np.zeros(1) if zero_point is None else zero_point.astype(np.int32)
    limits = np.iinfo(numbers.dtype)
    return Stored(
        values=((numbers.astype(np.int32) - (zero.reshape(shape) if zero.size > 1 else zero)) * step).astype(
            np.float32
        ),
        step=step,
        edge=(numbers == limits.min) | (numbers == limits.max),
    )


def _transposed(stored: Stored) -> Stored:
    return Stored(stored.values.T, stored.step.T, stored.edge.T)


def precision_of(graph: onnx.ModelProto) -> str:
    """Return `int8` for a graph with weights in 8 bits, else `fp32`."""
    bytes_ = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    stored = any(tensor.data_type in bytes_ and len(tensor.dims) > 1 for tensor in graph.graph.initializer)
    return "int8" if stored or any(node.op_type in INTEGER_PRODUCTS for node in graph.graph.node) else "fp32"


def defined_logits(graph: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the graph gives by the definition of its operators, float32 `[N, 10]`, one image at a time.

    Computed by ONNX's own reference implementation, which no processor's instructions change: integers are exact, and
    where a graph computes in float alone it is done in double precision and rounded to 1e-6.
    """
    dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in graph.graph.node)
    exact = graph if dynamic else _in_double(graph)
    inputs = images if dynamic else images.astype(np.float64)
    evaluator = ReferenceEvaluator(exact)
    name = graph.graph.input[0].name
    answers = [list(evaluator.run(None, {name: inputs[index : index + 1]})) for index in range(len(images))]
    logits = np.concatenate([outputs[0] for outputs in answers])
    return (logits if dynamic else logits.round(6)).astype(np.float32)


def _in_double(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its floats in double precision, which ONNX's reference implementation keeps up.

    Weights in 8 bits become floats here: below opset 19 that implementation has no `DequantizeLinear`.
    """
    result = dequantized(graph)
    for tensor in result.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            exact = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(exact, tensor.name))
    return result


def dequantized(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a weight-only graph with the weights that it computes with, as floats; another graph as it is."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    for node in [node for node in result.graph.node if node.op_type == "DequantizeLinear"]:
        quantized, scale = stored[node.input[0]], stored[node.input[1]]
        if scale.ndim:
            axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
            scale = scale.reshape([-1 if side == axis else 1 for side in range(quantized.ndim)])
        weights = quantized.astype(np.float32) * scale
        result.graph.initializer.append(onnx.numpy_helper.from_array(weights, node.output[0]))
        result.graph.node.remove(node)
    return result


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Hold back the loggers of libraries that report every step; what goes wrong is raised or read back."""
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
