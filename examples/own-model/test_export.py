"""What the CI of this project checks: the exported file still gives what the network with these weights gives."""

from types import ModuleType

import pytest
import torch
from net import Net
from train import EXPORT, MEAN, STD, WEIGHTS, load_images


@pytest.fixture
def net() -> Net:
    """The trained network."""
    net = Net()
    net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return net.eval()


def test_the_exported_file_gives_what_the_network_gives(parity: ModuleType, net: Net) -> None:
    """The file takes pixels as they are, the network takes normalized ones."""
    images, _ = load_images(train=False)
    assert parity.assert_same(net, EXPORT, images, mean=MEAN, std=STD).agreement == 1.0


def test_a_file_of_other_weights_would_be_found(parity: ModuleType, net: Net) -> None:
    """A single weight that differs is one too many."""
    with torch.no_grad():
        net.conv2.weight[0, 0, 0, 0] += 0.05
    images, _ = load_images(train=False)
    with pytest.raises(AssertionError, match="would have passed"):
        parity.assert_same(net, EXPORT, images, mean=MEAN, std=STD)
