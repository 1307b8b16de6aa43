"""Dynamic quantization by onnxruntime, which is kept from mistaking a weight that several operators use."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from mnist_edge.errors import UserError
from mnist_edge.formats.build import StoredTensor
from mnist_edge.formats.logs import quiet
from mnist_edge.formats.onnx.graph import PRODUCTS, GraphIndex, is_transposed

DYNAMIC = {
    "dynamic-u8": (QuantType.QUInt8, False, False),
    "dynamic-u8-channel": (QuantType.QUInt8, True, False),
    "dynamic-s8-reduced": (QuantType.QInt8, False, True),
    "dynamic-s8-reduced-channel": (QuantType.QInt8, True, True),
    "dynamic-s8": (QuantType.QInt8, False, False),
    "dynamic-s8-channel": (QuantType.QInt8, True, False),
}
"""onnxruntime's dynamic quantization: weight type, a scale for each output channel, 7 instead of 8 bits."""

_COPY = "copy.."
"""What the name of a copy begins with; torch gives no parameter a name with two dots in a row."""


def quantized_dynamically(model: onnx.ModelProto, scheme: str) -> onnx.ModelProto:
    """Return a copy of a float32 model whose products are computed in integers, with steps found at each call.

    Args:
        model: of torch's exporter.
        scheme: a key of `DYNAMIC`.

    Raises:
        UserError: onnxruntime gave other weights to an operator than it has.
    """
    weight_type, per_channel, reduce_range = DYNAMIC[scheme]
    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    separate_weights(prepared.graph)
    _turn_shared_weights(prepared.graph)
    with tempfile.TemporaryDirectory() as folder, quiet("root"):
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(prepared, path, weight_type=weight_type, per_channel=per_channel, reduce_range=reduce_range)
        quantized = onnx.load(path)
    check_operands(model.graph, quantized.graph)
    return quantized


def separate_weights(graph: onnx.GraphProto) -> None:
    """Give a copy of each weight of a `Gemm` with `transB` to the nodes that use it the other way round, in place.

    onnxruntime's quantizer has one way round, and one axis of output channels, for each weight.
    """
    for tensor, turned, others in _shared_weights(graph):
        if others and turned:
            weights = onnx.numpy_helper.to_array(tensor)
            graph.initializer.append(onnx.numpy_helper.from_array(weights, f"{_COPY}{tensor.name}"))
            for node in others:
                node.input[:] = [f"{_COPY}{name}" if name == tensor.name else name for name in node.input]


def _turn_shared_weights(graph: onnx.GraphProto) -> None:
    """Transpose each weight of several `Gemm` with `transB`, in place, and drop that `transB`.

    Of each of them onnxruntime makes a `MatMul`, and transposes its weight in place as if no other node used it.
    """
    for tensor, turned, _ in _shared_weights(graph):
        if turned:
            weights = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights.T, tensor.name))
        for node in turned:
            next(attribute for attribute in node.attribute if attribute.name == "transB").i = 0


def _shared_weights(
    graph: onnx.GraphProto,
) -> Iterator[tuple[onnx.TensorProto, list[onnx.NodeProto], list[onnx.NodeProto]]]:
    """Yield each tensor of several users: those of which onnxruntime makes a `MatMul`, and the others."""
    for tensor in list(graph.initializer):
        users = [node for node in graph.node if tensor.name in node.input]
        turned = [node for node in users if _becomes_matmul(node) and node.input[1] == tensor.name]
        if len(users) > 1:
            yield tensor, turned, [node for node in users if node not in turned]


def _becomes_matmul(node: onnx.NodeProto) -> bool:
    """Say whether onnxruntime makes a `MatMul` of a node, and transposes its weight for that."""
    scaled = any(attribute.name in ("alpha", "beta") and attribute.f != 1 for attribute in node.attribute)
    return is_transposed(node) and not scaled


def check_operands(graph: onnx.GraphProto, quantized: onnx.GraphProto) -> None:
    """Refuse a quantized graph with a node that is given other constants than the same node of the float32 graph.

    A matrix that lies the other way round than one of its users takes it may change no answer, and in integers there
    is no bound on the logits. That it is stored as the checkpoint has it does not show how it is used.

    Raises:
        UserError: there is one.
    """
    before, after = GraphIndex(graph), GraphIndex(quantized)
    wrong = [node.output[0] for node in before.nodes if _multiplies_by_another(node, before, after)]
    for node in after.nodes:
        for name in () if node.op_type in PRODUCTS else node.input:
            own = before.constants.get(name.removeprefix(_COPY))
            if own is not None and name in after.constants and not np.array_equal(own, after.constants[name]):
                wrong.append(node.output[0])
    if wrong:
        raise UserError(
            f"onnxruntime's quantizer gives the operator of {wrong[0]} other weights than it has: "
            "export the network with a scheme that stores weights only"
        )


def _multiplies_by_another(node: onnx.NodeProto, before: GraphIndex, after: GraphIndex) -> bool:
    """Say whether a product by stored weights has become one by weights more than a step away."""
    if node.op_type not in PRODUCTS or node.input[1] not in before.constants:
        return False
    output = node.output[0]
    names = [f"{output}{inner}{outer}" for inner in ("_MatMul", "") for outer in ("_output_quantized", "")]
    product = next((after.makers[name] for name in names if name in after.makers), None)
    expected, found = _factor(before, node), None if product is None else _factor(after, product)
    if expected is None or found is None or expected.dequantized.shape != found.dequantized.shape:
        return True
    return bool((np.abs(found.dequantized - expected.dequantized) > 1.01 * found.step).any())


def _factor(index: GraphIndex, product: onnx.NodeProto) -> StoredTensor | None:
    """Return the stored weights of a product as it multiplies by them; None where it has none."""
    stored = index.stored(product.input[1]) if product.op_type in PRODUCTS else None
    return stored.transposed() if stored is not None and is_transposed(product) else stored
