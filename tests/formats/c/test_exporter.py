"""What is written has to be the network that it is written from."""

import weakref
from collections.abc import Iterator

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
