"""Networks that are not a chain of layers, with weights that nobody trained."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.training.architectures.registry import ARCHITECTURES, build_model
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData


class Residual(nn.Module):
    """A network whose second layer's output is added to its input."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        channels, height, width = task.input.shape
        self.first = nn.Linear(channels * height * width, 32)
        self.second = nn.Linear(32, 32)
        self.last = nn.Linear(32, len(task.labels))

    def forward(self, image: Tensor) -> Tensor:
        hidden = torch.relu(self.first(image.flatten(1)))
        logits: Tensor = self.last(hidden + torch.relu(self.second(hidden)))
        return logits


class NormalizedResidual(nn.Module):
    """A convolution with batch normalization around which its input goes."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.first = nn.Conv2d(task.input.shape[0], 4, 5, stride=4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.LazyLinear(len(task.labels))
        self.last(self.features(torch.zeros(2, *task.input.shape)).flatten(1))

    def features(self, image: Tensor) -> Tensor:
        hidden = torch.relu(self.first(image))
        return hidden + torch.relu(self.norm(self.second(hidden)))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.last(self.features(image).flatten(1))
        return logits


class Untraceable(nn.Module):
    """A convolution with batch normalization, behind a branch that `torch.fx` can't follow."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        channels, height, width = task.input.shape
        self.first = nn.Conv2d(channels, 2, 5, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.last = nn.Linear(2 * ((height - 1) // 4) * ((width - 1) // 4), len(task.labels))

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.norm(self.first(image))
        logits: Tensor = self.last((hidden if image.shape[-1] > 1 else -hidden).flatten(1))
        return logits


NETWORKS = {"residual": Residual, "normalized-residual": NormalizedResidual, "untraceable": Untraceable}


def reference_of(
    patch: pytest.MonkeyPatch, name: str, released: Checkpoint, test: Split, data: TrainingData
) -> Reference:
    """Return the answers of one of these networks to 200 test images; its architecture is in the registry."""
    patch.setitem(ARCHITECTURES, name, NETWORKS[name])
    model = build_model(name, released.task)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values, low, high in (
                    (module.running_mean, -0.2, 0.2),
                    (module.running_var, 0.5, 2.0),
                    (module.weight, 0.5, 2.0),
                    (module.bias, -0.2, 0.2),
                ):
                    assert values is not None
                    values.copy_(torch.linspace(low, high, len(values)))
    checkpoint = dataclasses.replace(released, architecture=name, weights=model.state_dict(), file_digest=None)
    few = TrainingData(data.train, Split(data.validation.images[:300], data.validation.labels[:300]), data.digest)
    return make_reference(checkpoint, Split(test.images[:200], test.labels[:200]), few)
