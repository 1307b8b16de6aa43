"""Networks as users bring them: named with `--arch tests/training/architectures/own_networks.py:…`."""

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two paths that meet again, grouped convolutions, dropout, layer norm, adaptive pooling."""

    def __init__(self, num_classes: int, in_channels: int = 1, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, stride=2, padding=1)
        self.block = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, groups=4, bias=False)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.block(x))
        x = torch.flatten(self.pool(x), 1)
        logits: Tensor = self.head(self.norm(self.dropout(x)))
        return logits


def flat(num_classes: int) -> nn.Module:
    """Return a network that takes the pixels in a row, and finds out itself how many they are."""
    return nn.Sequential(nn.LazyLinear(32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, num_classes))
