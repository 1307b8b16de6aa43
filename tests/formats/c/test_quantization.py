"""Weights and values in bytes: their steps, and sums that fit into 32 bits."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c.lowering import lower
from mnist_edge.formats.c.network import Network
from mnist_edge.formats.c.quantization import MAX_SUM, largest_sum, quantize, rounded
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import logits_of, to_bytes
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


def test_a_layer_whose_outputs_are_all_0_is_written_and_read() -> None:
    images = np.random.default_rng(0).random((6, 1, 2, 2)).astype(np.float32)
    for weight in np.linspace(0, 0.5, 8):
        header = read(exported(silent_network(float(weight)), images, quantized=True))
        assert header.network.layers[0].shift >= 1
