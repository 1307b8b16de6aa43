"""What a graph stores: names alone do not say whose a tensor is."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mnist_edge.formats.onnx.graph import GraphIndex, stored_weights
from mnist_edge.parity.weights import weight_problems


class Scaled(nn.Module):
    """A factor for each input, under the name that ConvNeXt gives its own, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(4))
        self.shift_zero_point = nn.Parameter(torch.zeros(4))
        self.fc = nn.Linear(4, 3, bias=False)


def graph_of(model: Scaled) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Mul", ["x", "layer_scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift_zero_point"], ["shifted"]),
        helper.make_node("Gemm", ["shifted", "fc.weight"], ["y"], transB=1),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in (("x", 4), ("y", 3))]
    stored = [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in model.state_dict().items()]
    return helper.make_graph(nodes, "g", sides[:1], sides[1:], stored)


@pytest.mark.parametrize("name", ["layer_scale", "shift_zero_point"])
def test_a_parameter_of_the_model_is_compared_whatever_its_name(name: str) -> None:
    model = Scaled()
    weights = stored_weights(graph_of(model))
    assert weight_problems(weights, model) == ()
    with torch.no_grad():
        model.get_parameter(name).add_(3)
    (problem,) = weight_problems(weights, model) or ()
    assert problem.startswith(f"4 of 4 values of {name} are not the checkpoint's")


def test_what_quantization_adds_is_not_a_weight() -> None:
    graph = graph_of(Scaled())
    parameters = ("fc.weight_scale", "fc.weight_quantized_scale", "x_scale", "x_zero_point")
    for name in ("fc.weight_quantized", *parameters):
        dtype = np.int8 if name.endswith("quantized") else np.float32
        graph.initializer.append(numpy_helper.from_array(np.ones((3, 4), dtype), name))
    graph.node.append(helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero_point"], ["levels"]))
    index = GraphIndex(graph)
    assert [name for name in index.constants if index.is_quantization_parameter(name)] == list(parameters)


@pytest.mark.parametrize("width", [4, 3])
def test_a_weight_that_is_multiplied_by_both_ways_lies_as_the_linear_layer_has_it(width: int) -> None:
    model = nn.Linear(4, width, bias=False)
    nodes = [
        helper.make_node("Gemm", ["x", "weight"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "weight"], ["y"]),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    for weight, right in ((model.weight, True), (model.weight.T, False)):
        stored = numpy_helper.from_array(weight.detach().numpy(), "weight")
        graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], [stored])
        assert (weight_problems(stored_weights(graph), model) == ()) == right
