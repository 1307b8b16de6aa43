import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.onnx.quantization import MAX_SAFE_INT8, saturating_weights


def graph_with(weights: np.ndarray[tuple[int, int], np.dtype[np.generic]]) -> onnx.ModelProto:
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    image = helper.make_tensor_value_info("x", TensorProto.UINT8, ["batch", weights.shape[0]])
    sums = helper.make_tensor_value_info("y", TensorProto.INT32, ["batch", weights.shape[1]])
    graph = helper.make_graph([node], "g", [image], [sums], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph)


@pytest.mark.parametrize(
    ("dtype", "value", "saturates"),
    [
        (np.uint8, 255, False),
        (np.int8, 64, False),
        (np.int8, -64, False),
        (np.int8, 65, True),
        (np.int8, -65, True),
        (np.int8, -128, True),
    ],
)
def test_signed_weights_that_saturate_are_named(dtype: type[np.generic], value: int, saturates: bool) -> None:
    weights = np.zeros((4, 3), dtype=dtype)
    weights[2, 1] = value
    problems = saturating_weights(graph_with(weights).graph)
    assert bool(problems) == saturates
    assert all(problem.startswith("w holds signed weights") for problem in problems)


def test_the_bound_is_the_arithmetic_of_the_instruction() -> None:
    """`vpmaddubsw` adds two products of a u8 and an s8 in 16 signed bits."""
    assert 2 * 255 * MAX_SAFE_INT8 <= 2**15 - 1 < 2 * 255 * (MAX_SAFE_INT8 + 1)


def test_the_int8_file_has_unsigned_weights_and_no_foreign_operators(exported: list[Artifact]) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp-int8.onnx"]
    graph = onnx.load(artifact.path)
    quantized = {t.name: t.data_type for t in graph.graph.initializer if t.name.endswith("_quantized")}
    assert quantized == {f"fc{n}.weight_quantized": TensorProto.UINT8 for n in (1, 2, 3)}
    assert {node.domain for node in graph.graph.node} == {""}
    assert [node.op_type for node in graph.graph.node].count("MatMulInteger") == 3
