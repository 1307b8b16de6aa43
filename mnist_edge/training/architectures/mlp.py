"""A multi-layer perceptron."""

from math import prod

import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task


class MLP(nn.Module):
    """Linear(pixels, 128) → ReLU → Linear(128, 64) → ReLU → Linear(64, labels): 109,386 parameters for MNIST."""

    def __init__(self, task: Task) -> None:
        """Initialize the weights from torch's global generator, as `nn.Linear` does."""
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(prod(task.input.shape), 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, len(task.labels))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 `[batch, labels]`, for images, float32 `[batch, channels, height, width]`."""
        hidden = torch.relu(self.fc1(self.flatten(image)))
        hidden = torch.relu(self.fc2(hidden))
        logits: Tensor = self.fc3(hidden)
        return logits
