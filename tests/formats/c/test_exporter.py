"""What is written has to be the network that it is written from."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c.exporter import export
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
