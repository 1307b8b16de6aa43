"""The network of this project."""

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Tensor, nn


class Net(nn.Module):
    """Two convolutions and a linear layer, for gray images of 8×8 pixels that are normalized with `MEAN` and `STD`."""

    def __init__(self) -> None:
        """Initialize the weights from torch's global generator."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities, float32 `[batch, 10]`, for images, float32 `[batch, 1, 8, 8]`."""
        hidden = F.relu(self.conv1(images))
        hidden = F.max_pool2d(F.relu(self.conv2(hidden)), 2)
        return F.log_softmax(self.fc(self.dropout(torch.flatten(hidden, 1))), dim=1)
