"""Weights and values in bytes: their steps, and sums that fit into 32 bits."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c.inspector import stored_weights
from mnist_edge.formats.c.lowering import lower
from mnist_edge.formats.c.network import Network
from mnist_edge.formats.c.quantization import MAX_SUM, largest_sum, quantize, rounded
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import exact_outputs, logits_of, to_bytes
from mnist_edge.parity.weights import weight_problems
from mnist_edge.types import TensorSpec
from tests.formats.c.networks import NETWORKS, exported, made


def lowered(name: str) -> tuple[Network, np.ndarray]:
    model, images = made(name)
    network = lower(model, TensorSpec("image", images.shape[1:]))
    return network, to_bytes(images, network.input_step)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_sum_can_exceed_32_bits(name: str) -> None:
    network, pixels = lowered(name)
    quantized = quantize(network, pixels)
    for layer, signed in zip(quantized.layers, quantized.signed_inputs, strict=True):
        if layer.has_weights:
            assert 0 < largest_sum(layer, signed) <= MAX_SUM


def test_a_layer_of_too_many_inputs_is_refused() -> None:
    """33,026 inputs of 255 with weights of 127 and more exceed 2³¹; 66,000 of them do with any scale."""
    linear = nn.Linear(300 * 300, 2)
    model = nn.Sequential(nn.Flatten(), linear).eval()
    with torch.no_grad():
        linear.weight.fill_(0.5)
    network = lower(model, TensorSpec("image", (1, 300, 300)))
    with pytest.raises(UserError, match="cannot write 1 as C: its sums could exceed 32 bits; it has too many inputs"):
        quantize(network, np.zeros((1, 300, 300, 1), np.uint8))


def test_the_greatest_sum_is_of_all_inputs_at_their_greatest_and_the_bias() -> None:
    layer = quantize(*lowered("linear")).layers[0]
    weights = np.zeros((1, 1, 1, 12, 3), np.int8)
    weights[..., 0], weights[..., 1], weights[..., 2] = 100, -127, 1
    for second in (-1_000, 10**6):
        largest = 127 * 12 * 255 + abs(second)
        changed = dataclasses.replace(layer, weights=weights, bias=np.array([5, second, 7], np.int32))
        assert largest_sum(changed, signed=False) == largest
        assert largest_sum(changed, signed=True) == largest - 127 * 12 * 128
    bias = np.array([2**31 - 1, 0, 0], np.int32)
    assert largest_sum(dataclasses.replace(layer, weights=weights, bias=bias), signed=False) > MAX_SUM


POOL = nn.MaxPool2d(3, stride=1, padding=1)
"""Gives as many values as it takes."""


@pytest.mark.parametrize(
    ("before", "signed"),
    [
        ((), False),
        ((POOL,), False),
        ((nn.BatchNorm2d(1),), True),
        ((nn.BatchNorm2d(1), POOL), True),
        ((nn.BatchNorm2d(1), nn.ReLU()), False),
        ((nn.BatchNorm2d(1), nn.ReLU(), POOL), False),
        ((nn.BatchNorm2d(1), nn.AvgPool2d(1), nn.ReLU()), False),
    ],
)
def test_inputs_that_are_never_below_0_go_twice_as_far(before: tuple[nn.Module, ...], signed: bool) -> None:
    """90,000 inputs of 127 fit into a sum, those of 255 do not."""
    linear = nn.Linear(300 * 300, 2)
    with torch.no_grad():
        linear.weight.fill_(0.5)
    network = lower(nn.Sequential(*before, nn.Flatten(), linear).eval(), TensorSpec("image", (1, 300, 300)))
    pixels = np.zeros((1, 300, 300, 1), np.uint8)
    if signed:
        assert quantize(network, pixels).layers[-1].bias is not None
    else:
        with pytest.raises(UserError, match="its sums could exceed 32 bits"):
            quantize(network, pixels)


def test_values_below_0_are_as_large_as_their_opposites() -> None:
    """All outputs of the first layer are from -9 to -5."""
    first, last = nn.Linear(4, 3), nn.Linear(3, 2)
    with torch.no_grad():
        first.weight.fill_(1.0)
        first.bias.fill_(-9.0)
    model = nn.Sequential(nn.Flatten(), first, last).eval()
    network = lower(model, TensorSpec("image", (1, 2, 2)))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), np.uint8)
    expected = model(torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2)).detach().numpy()
    assert np.abs(logits_of(quantize(network, pixels), pixels) - expected).max() < 0.2


def test_each_output_has_a_step_of_its_own() -> None:
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([1.0, 1e-3, 30.0])[:, None] * linear.weight)
    network = lower(nn.Sequential(nn.Flatten(), linear).eval(), TensorSpec("image", (1, 2, 2)))
    (layer,) = quantize(network, np.zeros((1, 2, 2, 1), np.uint8)).layers
    assert layer.weights is not None
    assert np.abs(layer.weights).max(axis=(0, 1, 2, 3)).tolist() == [127] * 3


def test_steps_are_the_same_where_sums_are_rounded_differently() -> None:
    for number in (0.0784313725, 3.14159, 1e-9, 12345.678):
        assert rounded(number * (1 + 1e-9)) == rounded(number) == pytest.approx(number, rel=2**-12)
    network, pixels = lowered("colors, groups, strides")
    layer = network.layers[0]
    assert layer.weights is not None
    nudged = dataclasses.replace(layer, weights=layer.weights * (1 + 1e-12))
    other = Network((nudged, *network.layers[1:]), network.input_step)
    first, second = quantize(network, pixels), quantize(other, pixels)
    for one, two in zip(first.layers, second.layers, strict=True):
        assert (one.step, one.shift) == (two.step, two.shift)


def test_channels_without_weights_keep_their_bias() -> None:
    linear = nn.Linear(4, 3)
    model = nn.Sequential(nn.Flatten(), linear, nn.ReLU(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([0.0, 2.0, 1e-3]))
    network = lower(model, TensorSpec("image", (1, 2, 2)))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), np.uint8)
    expected = model(torch.zeros(1, 1, 2, 2)).detach().numpy()
    assert np.abs(logits_of(quantize(network, pixels), pixels) - expected).max() < 0.02


@pytest.mark.parametrize("weight", [0.0, 1e-8, 1e-6, 1e-5, 1e-4])
@pytest.mark.parametrize("bias", [0.011, 0.1, -0.7])
def test_a_channel_of_next_to_no_weights_keeps_its_bias(weight: float, bias: float) -> None:
    """As a normalization whose factor is near 0 leaves it; both its bias and its multiplier are rounded."""
    torch.manual_seed(0)
    first = nn.Linear(4, 8)
    with torch.no_grad():
        first.weight[3] *= weight
        first.bias[:] = 0
        first.bias[3] = bias
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(8, 5)).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), np.uint8)
    stored = stored_weights(quantize(lower(model, TensorSpec("image", (1, 2, 2))), pixels), (2, 2, 1))
    assert weight_problems(stored, model) == ()
    assert stored["1.bias"].dequantized[3] == pytest.approx(bias, rel=1e-4)
    assert stored["1.weight"].step[3, 0] < stored["1.weight"].step.max() / 2000


def silent_network(weight: float) -> nn.Module:
    """Return a network whose hidden layer has the same weights everywhere, and a bias that its ReLU makes 0."""
    hidden = nn.Linear(4, 3)
    with torch.no_grad():
        hidden.weight.fill_(weight)
        hidden.bias.fill_(-9)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(3, 2)).eval()


@given(weight=st.floats(1e-4, 2))
def test_a_layer_whose_outputs_are_all_0_is_shifted(weight: float) -> None:
    """The step of its output is given by the steps of its weights alone."""
    network = lower(silent_network(weight), TensorSpec("image", (1, 2, 2)))
    assert quantize(network, np.zeros((1, 2, 2, 1), np.uint8)).layers[0].shift >= 1


def test_a_layer_whose_outputs_are_all_0_is_shifted_by_its_largest_weights() -> None:
    hidden = nn.Linear(4, 3)
    with torch.no_grad():
        hidden.weight.copy_(torch.tensor([1e-3, 1.0, 0.1])[:, None].expand(3, 4))
        hidden.bias.fill_(-9)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(3, 2)).eval()
    network = lower(model, TensorSpec("image", (1, 2, 2)))
    assert quantize(network, np.zeros((1, 2, 2, 1), np.uint8)).layers[0].shift >= 1


@pytest.mark.parametrize(("between", "steps"), [((nn.ReLU(),), 255), ((), 127)])
def test_the_greatest_output_that_was_seen_takes_all_steps(between: tuple[nn.Module, ...], steps: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), *between, nn.Linear(3, 2)).eval()
    network = lower(model, TensorSpec("image", (1, 2, 2)))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), np.uint8)
    (_, outputs), _ = exact_outputs(network, pixels * network.input_step)
    step = quantize(network, pixels).layers[0].step
    assert step == pytest.approx(float(np.abs(outputs).max()) / steps, rel=1e-3)


def test_a_layer_whose_outputs_are_all_0_is_written_and_read() -> None:
    images = np.random.default_rng(0).random((6, 1, 2, 2)).astype(np.float32)
    for weight in np.linspace(0, 0.5, 8):
        header = read(exported(silent_network(float(weight)), images, quantized=True))
        assert header.network.layers[0].shift >= 1
