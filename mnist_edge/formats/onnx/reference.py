"""What an ONNX graph gives by the definition of its operators."""

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from mnist_edge.formats.onnx.graph import GraphIndex
from mnist_edge.formats.onnx.reference_operators import AveragePool, LogSoftmax, MaxPool, Sigmoid
from mnist_edge.types import Images, Logits

_REFERENCE_OPSET = 19
"""The first of which ONNX's reference implementation has `DequantizeLinear`."""


def reference_logits(model: onnx.ModelProto, images: Images) -> Logits:
    """Return what a model gives by the definition of its operators, float32 `[N, classes]`, one image at a time.

    Computed by ONNX's own reference implementation, with operators that do not err (`reference_operators`). No
    processor's instructions change it: integers are exact, and where a model computes in float alone it is done in
    double precision and rounded to 1e-6. Where it makes floats of other numbers, as of pixels that it rounded, float32
    is kept: double precision may round them to others.
    """
    dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
    plain = model if dynamic else _with_plain_weights(model)
    single = dynamic or any(map(_makes_floats, plain.graph.node))
    if not single:
        _make_double(plain.graph)
    inputs: NDArray[np.floating] = images if single else images.astype(np.float64)
    evaluator = ReferenceEvaluator(plain, new_ops=[MaxPool, AveragePool, LogSoftmax, Sigmoid])
    name = model.graph.input[0].name
    results = [list(evaluator.run(None, {name: inputs[index : index + 1]})) for index in range(len(images))]
    logits = np.concatenate([outputs[0] for outputs in results])
    return (logits if single else logits.round(6)).astype(np.float32)


def _makes_floats(node: onnx.NodeProto) -> bool:
    floats = any(attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute)
    return floats and node.op_type == "Cast"


def _make_double(graph: onnx.GraphProto) -> None:
    """Make the floats of a graph those of double precision, in place; ONNX's reference implementation keeps it up."""
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            exact = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(exact, tensor.name))


def _with_plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose weights that are stored in fewer bits are floats, without what made them floats.

    Below opset 19 ONNX's reference implementation has no `DequantizeLinear`, and a `Cast` would take a computation in
    double precision back to float32.
    """
    index = GraphIndex(model.graph)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for node in list(result.graph.node):
        stored = index.stored(node.output[0])
        if stored is not None:
            result.graph.initializer.append(onnx.numpy_helper.from_array(stored.dequantized, node.output[0]))
        if stored is not None or index.are_levels(node.output[0]):
            result.graph.node.remove(node)
    if any(node.op_type == "DequantizeLinear" for node in result.graph.node):
        for entry in result.opset_import:  # of values between operators; what it means was the same before
            entry.version = max(entry.version, _REFERENCE_OPSET)
    return result
