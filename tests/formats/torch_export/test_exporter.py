"""Tensors of a network that are not in its state dict, and types of numbers that it casts."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mnist_edge


class Constants(nn.Module):
    """A linear layer after tensors that are neither parameters nor persistent buffers, and after casts."""

    offsets: Tensor
    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(16 * 16, 3)
        self.register_buffer("offsets", torch.rand(16 * 16), persistent=False)
        self.register_buffer("means", torch.full((16 * 16,), 0.13, dtype=torch.float64))
        self.scale = torch.tensor([0.31])

    def forward(self, images: Tensor) -> Tensor:
        levels = (images.flatten(1) * 255).to(torch.uint8).float() / torch.tensor(255.0)
        logits: Tensor = self.last(((levels + self.offsets - self.means) / self.scale).float())
        return logits


@pytest.mark.slow
def test_constants_and_casts_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, labels = torch.rand(50, 1, 16, 16), torch.arange(50) % 3
    (artifact,) = mnist_edge.export(Constants().eval(), images, labels, formats=["torch-export"], output=tmp_path)
    assert artifact.report.max_abs_diff is not None
    assert artifact.report.max_abs_diff < 1e-5
