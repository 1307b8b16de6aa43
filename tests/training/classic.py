"""The network of PyTorch's MNIST example, smaller, and as it trains it: normalized, to log-probabilities."""

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Tensor, nn

MEAN, STD = 0.1307, 0.3081


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(16 * 12 * 12, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        return F.log_softmax(self.fc2(x), dim=1)


class Probabilities(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).exp()


class NotANumber(Net):
    """It gives NaN for images that are not black."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.where(x.amax(dim=(1, 2, 3)) > 2, torch.nan, 0.0)[:, None]


class Raises(Net):
    """It raises over more images than it is tried on."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 2:
            raise ValueError("too\nmany")
        return super().forward(x)


def train(images: Tensor, labels: Tensor, epochs: int = 3) -> Net:
    """Return a network trained on images in [0, 1] by a loop as in the tutorials."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net().train()
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(50):
                optimizer.zero_grad()
                F.nll_loss(net((images[batch] - MEAN) / STD), labels[batch]).backward()
                optimizer.step()
    return net.eval()
