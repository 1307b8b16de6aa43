"""What is written has to be the network that it is written from."""

import weakref
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c import exporter
from mnist_edge.formats.c.exporter import export
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.formats.c.reference import exact_outputs
from mnist_edge.types import AnyArray
from tests.formats.c.networks import request_for


class Doubled(nn.Linear):
    """A layer that torch.fx takes for one of torch's own, which does something else than they do."""

    __module__ = "torch.nn.modules.linear"

    def forward(self, values: Tensor) -> Tensor:
        return 2 * super().forward(values)


@pytest.mark.parametrize("quantized", [False, True])
def test_layers_that_do_not_give_what_the_network_gives_are_refused(quantized: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), Doubled(8, 3)).eval()
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    with pytest.raises(UserError, match=r"cannot write this network layer by layer: .*; export it to another --format"):
        export(model, [request_for(model, images, quantized=quantized)])


class Scaled(nn.Linear):
    """The same with logits of a chosen size, off by a chosen factor."""

    __module__ = "torch.nn.modules.linear"

    def __init__(self, largest: float, factor: float) -> None:
        super().__init__(16, 3)
        self.factor = factor
        with torch.no_grad():
            self.weight.zero_()
            self.bias.copy_(torch.tensor([1, 0.5, -0.25]) * largest)

    def forward(self, values: Tensor) -> Tensor:
        return self.factor * super().forward(values)


@pytest.mark.parametrize(
    ("largest", "factor", "same"),
    [(300.0, 1.0002, True), (300.0, 1.002, False), (1.0, 1.002, False), (0.01, 1.005, True), (0.01, 1.02, False)],
)
def test_logits_may_differ_by_what_float32_explains(largest: float, factor: float, *, same: bool) -> None:
    """A thousandth of the largest logit, and of small ones what any two processors may differ by."""
    model = nn.Sequential(nn.Flatten(), Scaled(largest, factor)).eval()
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    request = request_for(model, images, quantized=False)
    with nullcontext() if same else pytest.raises(UserError, match="do not give what it gives"):
        export(model, [request])


class Shortened(nn.Linear):
    """The same with fewer logits."""

    __module__ = "torch.nn.modules.linear"

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values)[:, :2]


def test_layers_that_give_another_number_of_logits_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), Shortened(16, 3)).eval()
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    with pytest.raises(UserError, match="do not give what it gives"):
        export(model, [request_for(model, images, quantized=False)])


def test_only_what_the_last_layer_gives_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """All layers together, of images of the largest size, could fill the memory."""
    layers = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.ReLU())]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(16, 3)).eval()
    kept = []

    def watched(network: Network, images: AnyArray) -> Iterator[tuple[Layer, AnyArray]]:
        before: list[weakref.ref[AnyArray]] = []
        for layer, values in exact_outputs(network, images):
            before.append(weakref.ref(values))
            yield layer, values
            kept.append(sum(each() is not None for each in before))

    monkeypatch.setattr(exporter, "exact_outputs", watched)
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    export(model, [request_for(model, images, quantized=False)])
    assert len(kept) == 7
    assert max(kept) <= 2, "the one at hand and the one before it"
