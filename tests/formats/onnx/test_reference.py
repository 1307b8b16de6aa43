"""What ONNX files give by the definition of their operators."""

import itertools
import warnings

import numpy as np
import onnx
import onnx.helper
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch import nn

from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.types import Images, Logits

SIDES = (9, 8)
Sides = int | tuple[int, int]
KERNELS: list[Sides] = [2, 3, (4, 3), 5]
STRIDES: list[Sides] = [1, 2, 4, (2, 1)]
PADDINGS: list[Sides] = [0, 1, (1, 0), (0, 1)]
DILATIONS: list[Sides] = [1, 2, (2, 1)]


def graph(kind: str, opset: int, **attributes: object) -> onnx.ModelProto:
    """Return a model of one operator."""
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(kind, ["image"], ["result"])
    node.attribute.extend(onnx.helper.make_attribute(name, given) for name, given in attributes.items())
    outputs = [value("result", TensorProto.FLOAT, [None, 2, None, None])]
    parts = onnx.helper.make_graph([node], "", [value("image", TensorProto.FLOAT, [None, 2, *SIDES])], outputs)
    return onnx.helper.make_model(parts, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)


def by_onnxruntime(model: onnx.ModelProto, images: Images) -> Logits:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[Logits] = session.run(None, {"image": images})
    return outputs[0]


def two(number: int | tuple[int, ...]) -> list[int]:
    return [number, number] if isinstance(number, int) else list(number)


def pools() -> list[nn.MaxPool2d | nn.AvgPool2d]:
    found: list[nn.MaxPool2d | nn.AvgPool2d] = []
    for kernel, stride, padding, ceil in itertools.product(KERNELS, STRIDES, PADDINGS, (False, True)):
        found += [nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil) for dilation in DILATIONS]
        found += [nn.AvgPool2d(kernel, stride, padding, ceil, counts) for counts in (False, True)]
    return found


@pytest.mark.parametrize("opset", [18, 21])
def test_pools_give_what_torch_gives(opset: int) -> None:
    images = torch.rand(1, 2, *SIDES, generator=torch.Generator().manual_seed(0)) - 0.5
    for pool in pools():
        room = [size + 2 * added for size, added in zip(SIDES, two(pool.padding), strict=True)]
        dilation = two(pool.dilation) if isinstance(pool, nn.MaxPool2d) else [1, 1]
        reach = [step * (side - 1) for step, side in zip(dilation, two(pool.kernel_size), strict=True)]
        if any(far >= size for far, size in zip(reach, room, strict=True)):
            continue
        attributes = {"kernel_shape": two(pool.kernel_size), "strides": two(pool.stride), "pads": 2 * two(pool.padding)}
        more = (
            {"dilations": dilation} if isinstance(pool, nn.MaxPool2d) else {"count_include_pad": pool.count_include_pad}
        )
        kind = "MaxPool" if isinstance(pool, nn.MaxPool2d) else "AveragePool"
        model = graph(kind, opset, **attributes, **more, ceil_mode=int(pool.ceil_mode))
        np.testing.assert_allclose(reference_logits(model, images.numpy()), pool(images), atol=2e-6, err_msg=str(pool))


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3], [4, 1]])
def test_pools_padded_by_a_rule_give_what_onnxruntime_gives(kind: str, rule: str, strides: list[int]) -> None:
    images = np.random.default_rng(0).random((1, 2, *SIDES), np.float32) - np.float32(0.5)
    model = graph(kind, 18, kernel_shape=[3, 2], strides=strides, auto_pad=rule)
    np.testing.assert_allclose(reference_logits(model, images), by_onnxruntime(model, images), atol=2e-6)


@pytest.mark.parametrize("counts", [0, 1])
def test_an_average_is_of_all_the_padding_of_either_side(counts: int) -> None:
    images = np.random.default_rng(0).random((1, 2, *SIDES), np.float32)
    model = graph("AveragePool", 21, kernel_shape=[3, 4], pads=[0, 2, 1, 1], dilations=[2, 1], count_include_pad=counts)
    np.testing.assert_allclose(reference_logits(model, images), by_onnxruntime(model, images), atol=2e-6)


@pytest.mark.parametrize("scale", [1, 100, 10_000])
def test_large_values_stay_finite(scale: int) -> None:
    images = np.random.default_rng(0).normal(0, scale, (1, 2, *SIDES)).astype(np.float32)
    values = torch.from_numpy(images).double()
    with warnings.catch_warnings(action="error"):
        probabilities = reference_logits(graph("LogSoftmax", 18, axis=1), images)
        shares = reference_logits(graph("Sigmoid", 18), images)
    np.testing.assert_allclose(probabilities, torch.log_softmax(values, dim=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(shares, torch.sigmoid(values), atol=1e-6)
