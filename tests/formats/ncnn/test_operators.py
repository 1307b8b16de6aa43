"""Logarithms of a softmax, of logits so far apart that the lesser probability is 0 in float32."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Tensor, nn

import mnist_edge
from mnist_edge.formats.ncnn.operators import log_softmax_from_differences

LOGITS = torch.tensor([[400.0, -400.0, 399.0], [0.0, 0.0, 1.0]])


class Ending(nn.Module):
    """Gives a function of ten logits up to 200 apart."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(64, 10), function
        self.linear.weight.data *= 200

    def forward(self, images: Tensor) -> Tensor:
        return self.function(self.linear(images.flatten(1)))


@pytest.mark.parametrize(
    "function",
    [
        *(lambda x: F.log_softmax(x, dim=-1), lambda x: F.log_softmax(x, 1, dtype=torch.float64), F.log_softmax),
        *(lambda x: x.log_softmax(1), lambda x: torch.log_softmax(x, 1), lambda x: torch.special.log_softmax(x, 1)),
        nn.LogSoftmax(1),
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension choice for log_softmax")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace.*deprecated")
def test_it_is_written_out_and_gives_the_same(function: Callable[[Tensor], Tensor]) -> None:
    network = Ending(function)
    with log_softmax_from_differences(network) as written:
        assert isinstance(written, Ending)
        found = written.function(LOGITS)
        traced = torch.jit.trace(written, torch.rand(1, 1, 8, 8)).inlined_graph
    torch.testing.assert_close(found, function(LOGITS), rtol=1e-6, atol=1e-6)
    assert "softmax" not in str(traced)
    assert network.function is function


@pytest.mark.slow
@pytest.mark.parametrize("function", [nn.LogSoftmax(1), lambda x: F.log_softmax(x, dim=1)])
def test_a_network_that_ends_in_it_is_exported(function: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images = Ending(function).eval(), torch.rand(100, 1, 8, 8)
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[:10] = torch.arange(10)
    (artifact,) = mnist_edge.export(network, images, labels, formats=["ncnn"], output=tmp_path)
    assert artifact.report
