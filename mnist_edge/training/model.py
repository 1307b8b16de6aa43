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


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {"mlp": MLP}


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
