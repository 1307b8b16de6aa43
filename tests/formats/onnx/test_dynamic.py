"""Quantization of networks that use a weight more than once."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.errors import UserError
from mnist_edge.formats.onnx import dynamic
from mnist_edge.formats.onnx.dynamic import check_operands, quantized_dynamically
from mnist_edge.formats.onnx.quantization import quantize
from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.types import AnyArray

GENERATOR = np.random.default_rng(0)
SQUARE, WIDE = (GENERATOR.normal(size=sides).astype(np.float32) for sides in ((8, 8), (5, 8)))


def gemm(first: str, second: str, output: str, alpha: float = 1.0) -> onnx.NodeProto:
    return helper.make_node("Gemm", [first, second], [output], f"node_{output}", transB=1, alpha=alpha)


def graph_of(*nodes: onnx.NodeProto, outputs: int = 8, **weights: AnyArray) -> onnx.ModelProto:
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", k]) for n, k in (("x", 8), ("y", outputs))]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], stored)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


SHARED = {
    "a layer called twice": graph_of(gemm("x", "w", "h"), gemm("h", "w", "y"), w=SQUARE),
    "three times": graph_of(gemm("x", "w", "g"), gemm("g", "w", "h"), gemm("h", "w", "y"), w=SQUARE),
    "and the other way round": graph_of(
        gemm("x", "w", "h"), helper.make_node("MatMul", ["h", "w"], ["y"], "m"), w=SQUARE
    ),
    "back to the inputs": graph_of(
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "node_h", transB=1),
        helper.make_node("MatMul", ["h", "w"], ["y"], "m"),
        w=WIDE,
        b=WIDE[:, 0],
    ),
    "as a plain factor": graph_of(
        gemm("x", "w", "h"),
        helper.make_node("ReduceL2", ["w"], ["norms"], "n", keepdims=0, noop_with_empty_axes=0),
        helper.make_node("Mul", ["w", "norms"], ["scaled"], "s"),
        gemm("h", "scaled", "y"),
        w=SQUARE,
    ),
    "with a factor": graph_of(gemm("x", "w", "h"), gemm("h", "w", "y", alpha=0.5), w=SQUARE),
}


@pytest.mark.parametrize("scheme", FORMATS["onnx"].schemes_of(Precision.INT8), ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("network", SHARED)
def test_a_weight_that_several_operators_use_is_right_for_each(network: str, scheme: Scheme) -> None:
    model, images = SHARED[network], GENERATOR.normal(size=(20, 8)).astype(np.float32)
    before = model.SerializeToString(deterministic=True)
    expected, found = (reference_logits(each, images) for each in (model, quantize(model, scheme, images)))
    assert model.SerializeToString(deterministic=True) == before
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_a_layer_called_twice_is_stored_once() -> None:
    quantized = quantized_dynamically(SHARED["a layer called twice"], "dynamic-u8-channel")
    assert [tensor.name for tensor in quantized.graph.initializer if len(tensor.dims) == 2] == ["w_quantized"]


@pytest.mark.parametrize("damage", ["product", "other"])
def test_an_operator_with_other_constants_than_it_had_is_refused(damage: str) -> None:
    """As onnxruntime gives them where a weight has several users."""
    model = graph_of(gemm("x", "w", "h"), helper.make_node("Mul", ["h", "f"], ["y"], "m"), w=SQUARE, f=SQUARE[:1])
    quantized = quantized_dynamically(model, "dynamic-u8-channel").graph
    check_operands(model.graph, quantized)
    name = "w_quantized" if damage == "product" else "f"
    tensor = next(tensor for tensor in quantized.initializer if tensor.name == name)
    turned = numpy_helper.to_array(tensor)[::-1, ::-1].T.reshape(tuple(tensor.dims))
    tensor.CopyFrom(numpy_helper.from_array(turned, name))
    with pytest.raises(
        UserError, match=r"^onnxruntime's quantizer gives the operator of [hy] other weights than it has"
    ):
        check_operands(model.graph, quantized)


@pytest.mark.parametrize("network", ["a layer called twice", "and the other way round"])
def test_what_onnxruntime_makes_of_a_shared_weight_is_refused(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing prepared it: a version that turned other weights would be found too."""
    monkeypatch.setattr(dynamic, "_shared_weights", lambda _: iter(()))
    with pytest.raises(UserError, match="other weights than it has"):
        quantized_dynamically(SHARED[network], "dynamic-u8-channel")
