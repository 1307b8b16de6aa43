"""The architectures that can be trained."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError


class MLP(nn.Module):
    """Linear(784, 128) → ReLU → Linear(128, 64) → ReLU → Linear(64, 10): 109,386 parameters."""

    def __init__(self) -> None:
        """Initialise the weights from torch's global generator, as `nn.Linear` does."""
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(28 * 28, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 `[batch, 10]`, for images, float32 `[batch, 1, 28, 28]` in [0, 1]."""
        hidden = torch.relu(self.fc1(self.flatten(image)))
        hidden = torch.relu(self.fc2(hidden))
        logits: Tensor = self.fc3(hidden)
        return logits


class CNN(nn.Module):
    """Four convolutions with batch normalisation, two of them halving the picture, then a linear layer.

    51,834 parameters.
    """

    def __init__(self) -> None:
        """Initialise the weights from torch's global generator, as torch's layers do."""
        super().__init__()
        self.features = nn.Sequential(
            _convolution(1, 16, kernel=5, stride=2),
            _convolution(16, 32, kernel=3, stride=1),
            _convolution(32, 32, kernel=3, stride=1),
            _convolution(32, 48, kernel=3, stride=2),
        )
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(48 * 7 * 7, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 `[batch, 10]`, for images, float32 `[batch, 1, 28, 28]` in [0, 1]."""
        logits: Tensor = self.fc(self.flatten(self.features(image)))
        return logits


def _convolution(channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {"mlp": MLP, "cnn": CNN}


def build_model(architecture: str, seed: int = 0) -> nn.Module:
    """Return a model with weights drawn from `seed`; torch's global generator is left as it was.

    Raises:
        UserError: no architecture has that name.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(f"unknown architecture {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[architecture]()
