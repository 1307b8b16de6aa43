"""Ways to store the weights of an ONNX graph in fewer bits, and what the result gives by definition."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantType, quantize_dynamic

from mnist_edge.formats.logs import quiet
from mnist_edge.formats.onnx.graph import INTEGER_PRODUCTS, GraphIndex
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.types import Images, Logits

MAX_SAFE_INT8 = 64
"""Greatest |weight| in signed 8 bits that can't saturate.

x86 CPUs without VNNI add two products of an unsigned and a signed byte in 16 bits (`vpmaddubsw`, Intel SDM vol. 2):
2 · 255 · 64 = 32,640 fits below 32,767; 2 · 255 · 65 does not.
"""

_DYNAMIC = {
    "dynamic-u8": (QuantType.QUInt8, False, False),
    "dynamic-u8-channel": (QuantType.QUInt8, True, False),
    "dynamic-s8-reduced": (QuantType.QInt8, False, True),
    "dynamic-s8-reduced-channel": (QuantType.QInt8, True, True),
    "dynamic-s8": (QuantType.QInt8, False, False),
    "dynamic-s8-channel": (QuantType.QInt8, True, False),
}
"""onnxruntime's dynamic quantization: weight type, a scale for each output channel, 7 instead of 8 bits."""

_WEIGHT_ONLY_INT8 = {"weight-only-s8": False, "weight-only-s8-channel": True}
"""Weights in 8 bits that are floats again before they are used: whether each output channel has a scale."""


def quantize(model: onnx.ModelProto, scheme: Scheme) -> onnx.ModelProto:
    """Return a copy of a float32 model as a scheme of the ONNX format stores it; an unquantized one as it is."""
    if scheme.name in _DYNAMIC:
        weight_type, per_channel, reduce_range = _DYNAMIC[scheme.name]
        with tempfile.TemporaryDirectory() as folder, quiet("root"):
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(model, path, weight_type=weight_type, per_channel=per_channel, reduce_range=reduce_range)
            return onnx.load(path)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if scheme.name in _WEIGHT_ONLY_INT8:
        _store_as_int8(result, per_channel=_WEIGHT_ONLY_INT8[scheme.name])
    elif scheme.quantized:
        _store_as_half(result)
    return result


def _store_as_half(model: onnx.ModelProto) -> None:
    """Store each weight matrix as float16, with a `Cast` to float32 before its use."""
    axes = {name for node in model.graph.node for name, _ in _weight_axis(node)}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in axes]:
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        name = f"{tensor.name}_half"
        node = onnx.helper.make_node("Cast", [name], [tensor.name], f"{tensor.name}_cast", to=onnx.TensorProto.FLOAT)
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(onnx.numpy_helper.from_array(half, name))
        model.graph.node.insert(0, node)


def _store_as_int8(model: onnx.ModelProto, *, per_channel: bool) -> None:
    """Store each weight matrix as int8, symmetric about 0, with a `DequantizeLinear` before its use."""
    axes = {name: axis for node in model.graph.node for name, axis in _weight_axis(node)}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in axes]:
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
        model.graph.initializer.remove(tensor)
        for array, name in zip((quantized, stored), names, strict=True):
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        model.graph.node.insert(0, node)


def _weight_axis(node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
    """Yield the name of the node's weight, where it has one, and the axis of its output channels."""
    if node.op_type in ("Gemm", "MatMul", "Conv"):
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        yield node.input[1], 0 if transposed or node.op_type == "Conv" else 1


def saturating_weights(graph: onnx.GraphProto) -> list[str]:
    """Return a line for each weight that gives wrong sums on an x86 CPU without VNNI; see `MAX_SAFE_INT8`."""
    used = {name for node in graph.node if node.op_type in INTEGER_PRODUCTS for name in node.input}
    problems = []
    for tensor in graph.initializer:
        if tensor.name in used and tensor.data_type == onnx.TensorProto.INT8:
            largest = int(np.abs(onnx.numpy_helper.to_array(tensor).astype(np.int16)).max(initial=0))
            if largest > MAX_SAFE_INT8:
                problems.append(
                    f"{tensor.name} holds signed weights up to {largest}, which saturate on x86 CPUs without VNNI: "
                    f"expected unsigned ones, or at most {MAX_SAFE_INT8}"
                )
    return problems


def precision_of(graph: onnx.GraphProto) -> Precision:
    """Return the precision in which a graph stores its weight matrices, the lowest where it has several."""
    types = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) > 1}
    integers = any(node.op_type in INTEGER_PRODUCTS for node in graph.node)
    if integers or types & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
        return Precision.INT8
    return Precision.FP16 if onnx.TensorProto.FLOAT16 in types else Precision.FP32


def reference_logits(model: onnx.ModelProto, images: Images) -> Logits:
    """Return what a model gives by the definition of its operators, float32 `[N, classes]`, one image at a time.

    Computed by ONNX's own reference implementation, which no processor's instructions change: integers are exact, and
    where a model computes in float alone it is done in double precision and rounded to 1e-6.
    """
    dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
    exact = model if dynamic else _in_double_precision(model)
    inputs: NDArray[np.floating] = images if dynamic else images.astype(np.float64)
    evaluator = ReferenceEvaluator(exact)
    name = model.graph.input[0].name
    results = [list(evaluator.run(None, {name: inputs[index : index + 1]})) for index in range(len(images))]
    logits = np.concatenate([outputs[0] for outputs in results])
    return (logits if dynamic else logits.round(6)).astype(np.float32)


def _in_double_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with its floats in double precision, which ONNX's reference implementation keeps up.

    Weights that are stored in fewer bits become floats here: below opset 19 that implementation has no
    `DequantizeLinear`, and a `Cast` would take the computation back to float32.
    """
    index = GraphIndex(model.graph)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for node in [node for node in result.graph.node if node.op_type in ("DequantizeLinear", "Cast")]:
        stored = index.stored(node.output[0])
        if stored is not None:
            result.graph.initializer.append(onnx.numpy_helper.from_array(stored.dequantized, node.output[0]))
            result.graph.node.remove(node)
    for tensor in result.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            exact = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(exact, tensor.name))
    return result
