"""The training of this project, and the export of what it trained.

    python train.py

writes `net.pt`, the weights, and `exports/digits-net.onnx`, which gives the network's answers or is not written.
"""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from net import Net
from sklearn.datasets import load_digits
from torch import Tensor

import mnist_edge

HERE = Path(__file__).parent
WEIGHTS = HERE / "net.pt"
EXPORT = HERE / "exports" / "digits-net.onnx"

MEAN, STD = 0.305, 0.376
"""Of the pixels of the training images."""

TRAINING_IMAGES = 1_400


def load_images(*, train: bool) -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits: images, float32 `[N, 1, 8, 8]` in [0, 1], and labels, int64 `[N]`."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div(16).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    part = slice(None, TRAINING_IMAGES) if train else slice(TRAINING_IMAGES, None)
    return images[part], labels[part]


def train(epochs: int = 8, batch_size: int = 50) -> Net:
    """Return a trained network."""
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    images, labels = load_images(train=True)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(batch_size):
            loss = F.nll_loss(net((images[batch] - MEAN) / STD), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def main() -> None:
    """Train, save the weights, and export."""
    net = train()
    torch.save(net.state_dict(), WEIGHTS)
    images, labels = load_images(train=False)
    reference = mnist_edge.module_reference(net, images, labels, name="digits", mean=MEAN, std=STD)
    (artifact,) = mnist_edge.export(reference, formats=["onnx"], output=EXPORT.parent)
    report = artifact.report
    print(
        f"{artifact.path.name}: {report.accuracy:.2%} of {report.images} test images, {report.agreement:.2%} the same"
    )


if __name__ == "__main__":
    main()
