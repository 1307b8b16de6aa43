from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.formats.onnx.quantization import MAX_SAFE_INT8, quantize, saturating_weights
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.parity.reference import Reference
from mnist_edge.training.datasets.splits import TrainingData
from tests.parity.unjudged import unjudged, unjudged_schemes

ONNX = FORMATS["onnx"]


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


def test_dynamic_quantization_has_unsigned_weights_and_no_foreign_operators(reference: Reference) -> None:
    graph = onnx.load_from_string(unjudged(ONNX, reference, "dynamic-u8-channel").bundle.data)
    quantized = {t.name: t.data_type for t in graph.graph.initializer if t.name.endswith("_quantized")}
    assert quantized == {f"fc{n}.weight_quantized": TensorProto.UINT8 for n in (1, 2, 3)}
    assert {node.domain for node in graph.graph.node} == {""}
    assert [node.op_type for node in graph.graph.node].count("MatMulInteger") == 3


def test_static_quantization_has_pairs_around_every_product_and_safe_weights(reference: Reference) -> None:
    graph = onnx.load_from_string(unjudged(ONNX, reference, "static-qdq-channel").bundle.data).graph
    makers = {name: node for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type in ("Gemm", "MatMul", "Conv")]
    assert len(products) == 3
    for node in products:
        assert [makers[name].op_type for name in node.input] == ["DequantizeLinear"] * len(node.input)
    assert makers[graph.output[0].name].op_type == "DequantizeLinear"
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = [array for name, array in stored.items() if name.endswith("weight_quantized")]
    assert len(weights) == 3
    assert all(np.abs(array.astype(int)).max() <= MAX_SAFE_INT8 for array in weights)


def operators(model: onnx.ModelProto, path: Path) -> list[str]:
    """Return what is computed at each call, as onnxruntime's optimizer writes it down by default."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_weights_are_made_floats_when_a_file_is_loaded_and_not_at_each_call(
    architecture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Else they take longer than the network does."""
    reference: Reference = request.getfixturevalue("reference" if architecture == "mlp" else "cnn_reference")
    schemes = ["none", *(scheme.name for scheme in ONNX.schemes if scheme.name.startswith("weight-only"))]
    assert len(schemes) == 5
    files = unjudged_schemes(ONNX, reference, schemes, options={"opset": 21})
    computed = [operators(onnx.load_from_string(file.bundle.data), tmp_path / "a.onnx") for file in files.values()]
    assert computed == [computed[0]] * len(schemes)


@pytest.mark.slow
def test_four_bits_are_half_a_byte_each_in_blocks_with_a_step(reference: Reference) -> None:
    data = unjudged(ONNX, reference, "weight-only-s4-block").bundle.data
    model = onnx.load_from_string(data)
    four = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT4]
    assert sum(len(tensor.raw_data) for tensor in four) == (784 * 128 + 128 * 64 + 64 * 10) // 2
    assert len(data) < 85_000
    assert [entry.version for entry in model.opset_import] == [21]
    scales = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name.endswith("_scale")}
    assert scales == {"fc1.weight_scale": (128, 28, 1), "fc2.weight_scale": (64, 4, 1), "fc3.weight_scale": (10, 2, 1)}


def test_a_network_with_a_weight_that_would_stay_as_it_is_has_no_int4(few: TrainingData, tmp_path: Path) -> None:
    """A file that says int4 and is as large as before would be the worst of both."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(28, 28))
            self.linear = nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scaled: torch.Tensor = self.linear((images * self.table).flatten(1))
            return scaled

    images, labels = few.train.images[:200], few.train.labels[:200]
    with pytest.raises(UserError, match=r"onnx has no int4 for Mul, which takes network\.table: export it as int8"):
        mnist_edge.export(Scaled().eval(), images, labels, precisions=["int4"], output=tmp_path)


@pytest.mark.parametrize(("inputs", "stored"), [(45, TensorProto.INT4), (47, TensorProto.INT8)])
def test_what_has_no_blocks_of_a_sensible_size_stays_in_8_bits(inputs: int, stored: int, tmp_path: Path) -> None:
    """45 is three blocks of 15; 47 is a prime number, whose blocks of 1 would have a step for each weight."""
    last = nn.Linear(inputs, 3)
    nn.init.constant_(last.weight, 0.1)  # the same answer for every image
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, inputs), nn.ReLU(), last).eval()
    images, labels = torch.rand(60, 1, 4, 4), torch.arange(60) % 3
    (artifact,) = mnist_edge.export(model, images, labels, precisions=["int4"], output=tmp_path)
    types = {tensor.name: tensor.data_type for tensor in onnx.load(artifact.path).graph.initializer}
    assert types["network.1.weight_quantized"] == TensorProto.INT4
    assert types["network.3.weight_quantized"] == stored


@pytest.mark.slow
def test_a_large_matrix_in_4_bits_is_within_what_a_file_may_compute(tmp_path: Path) -> None:
    last = nn.Linear(1024, 3)
    nn.init.constant_(last.weight, 0.1)  # the same answer for every image
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 1024), nn.ReLU(), last).eval()
    images, labels = torch.rand(60, 1, 32, 32), torch.arange(60) % 3
    (artifact,) = mnist_edge.export(model, images, labels, precisions=["int4"], output=tmp_path)
    assert artifact.size < 700_000


class ByRows(nn.Module):
    """A recurrent layer over rows."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rows, self.last = nn.GRU(12, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.rows(images.squeeze(1))[0][:, -1])
        return logits


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "hidden"), [("int8", 16), ("int4", 16), ("int4", 7)])
def test_an_operator_that_no_file_may_hold_is_named_in_any_precision(
    precision: str, hidden: int, tmp_path: Path
) -> None:
    images, labels = torch.rand(20, 1, 2, 12), torch.arange(20) % 10
    with pytest.raises(UserError, match=r"the layer rows \(GRU\): it has the operator 'GRU', which is not on the list"):
        mnist_edge.export(ByRows(hidden).eval(), images, labels, precisions=[precision], output=tmp_path)


def test_a_network_without_a_matrix_of_sensible_blocks_has_no_int4(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(49, 3)).eval()
    images, labels = torch.rand(60, 1, 7, 7), torch.arange(60) % 3
    with pytest.raises(UserError, match="no matrix can be cut into blocks of 12 to 32 weights: export it as int8"):
        mnist_edge.export(model, images, labels, precisions=["int4"], output=tmp_path)


def test_an_opset_without_four_bits_is_refused_before_any_work(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="onnx in int4 needs opset 21 or later: leave out --opset"):
        mnist_edge.export(reference, precisions=["int4"], options={"opset": 18}, output=tmp_path)


@pytest.mark.parametrize("scheme", ONNX.schemes, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("parameter", ["fc.weight_scale", "fc.weight_quantized", "x_zero_point", "fc.weight_half"])
def test_a_parameter_whose_name_quantization_needs_is_refused(scheme: Scheme, parameter: str) -> None:
    ones = [
        numpy_helper.from_array(np.ones(sides, np.float32), name)
        for name, sides in (("fc.weight", (16, 3)), (parameter, (3,)))
    ]
    nodes = [helper.make_node("MatMul", ["x", "fc.weight"], ["h"]), helper.make_node("Mul", ["h", parameter], ["y"])]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in (("x", 16), ("y", 3))]
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], ones)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    if scheme.quantized and parameter.endswith("half") == (scheme.precision is Precision.FP16):
        with pytest.raises(UserError, match=f"^onnx has no {scheme.precision} .* as {parameter}, .*: rename that"):
            quantize(model, scheme, np.ones((1, 16), np.float32))
    else:
        assert quantize(model, scheme, np.ones((1, 16), np.float32)).graph.node


def test_floats_that_only_end_like_a_scale_keep_a_network_from_four_bits() -> None:
    ones = [
        numpy_helper.from_array(np.ones(sides, np.float32), name)
        for name, sides in (("fc.weight", (16, 3)), ("map_scale", (16, 16)))
    ]
    nodes = [
        helper.make_node("Max", ["x", "map_scale"], ["rows"]),
        helper.make_node("MatMul", ["rows", "fc.weight"], ["y"]),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [16, n]) for name, n in (("x", 16), ("y", 3))]
    model = helper.make_model(helper.make_graph(nodes, "g", sides[:1], sides[1:], ones))
    (scheme,) = ONNX.schemes_of(Precision.INT4)
    with pytest.raises(UserError, match="onnx has no int4 for Max, which takes map_scale"):
        quantize(model, scheme, np.ones((1, 16), np.float32))
