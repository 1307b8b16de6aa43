"""A small convolutional network."""

from math import ceil

from torch import Tensor, nn

from mnist_edge.artifact.contract import Task


class CNN(nn.Module):
    """Seven convolutions with batch normalization, three of them halving the image, then a linear layer.

    56,634 parameters for MNIST.
    """

    def __init__(self, task: Task) -> None:
        """Initialize the weights from torch's global generator, as torch's layers do."""
        super().__init__()
        channels, height, width = task.input.shape
        self.features = nn.Sequential(
            _convolution(channels, 16, kernel=5, stride=2),
            _convolution(16, 32, kernel=3, stride=1),
            _convolution(32, 32, kernel=3, stride=2),
            _convolution(32, 32, kernel=3, stride=1),
            _convolution(32, 32, kernel=3, stride=1),
            _convolution(32, 32, kernel=3, stride=1),
            _convolution(32, 32, kernel=3, stride=2),
        )
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32 * ceil(height / 8) * ceil(width / 8), len(task.labels))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 `[batch, labels]`, for images, float32 `[batch, channels, height, width]`."""
        logits: Tensor = self.fc(self.flatten(self.features(image)))
        return logits


def _convolution(channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )
