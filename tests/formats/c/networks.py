"""Small networks made of every layer that a header can hold, and headers of them."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract, Task
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.formats.build import ExportRequest, TrainedAnswers
from mnist_edge.formats.c.exporter import export
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.registry import FORMATS
from mnist_edge.types import Images, TensorSpec

C = FORMATS["c"]
FLOATS, BYTES = C.schemes


class Functional(nn.Module):
    """Layers that are functions and methods, not modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding="same", dilation=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Linear(6 * 4 * 5, 4)

    def forward(self, image: Tensor) -> Tensor:
        hidden = functional.relu(self.norm(self.first(image)))
        hidden = functional.max_pool2d(functional.dropout(hidden, 0.5, self.training), 2)
        hidden = torch.flatten(functional.avg_pool2d(hidden, 2, stride=1, padding=1, count_include_pad=False), 1)
        logits: Tensor = self.second(hidden)
        return logits


class Viewed(nn.Module):
    """A convolution, a way to flatten, and the mean over an image where that is none."""

    def __init__(self, together: Callable[[Tensor], Tensor], features: int) -> None:
        super().__init__()
        self.first, self.last, self.together = nn.Conv2d(1, 2, 2), nn.Linear(features, 3), together

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.last(self.together(torch.relu(self.first(image))))
        return logits


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), (1, 3, 4)),
    "without ReLU": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(30, 9), nn.Linear(9, 7, bias=False)), (1, 5, 6)),
    "colors, groups, strides": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Dropout2d(),
            nn.Flatten(),
            nn.Linear(8 * 2 * 3, 5),
        ),
        (4, 8, 7),
    ),
    "normalization by itself": (
        lambda: nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 5, 3),
            nn.ReLU(),
            nn.BatchNorm2d(5),
            nn.AvgPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(45, 6, bias=False),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Identity(),
            nn.Linear(6, 3),
        ),
        (1, 8, 8),
    ),
    "many labels": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 15)), (3, 12, 16)),
    "functions": (Functional, (2, 6, 8)),
    "windows in the padding alone": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 1, padding=1),
            nn.Conv2d(4, 4, (3, 2), stride=(3, 2), padding=(4, 5), groups=4),
            nn.ReLU(),
            nn.Conv2d(4, 3, 2, padding=4, dilation=3),
            nn.BatchNorm2d(3),
            nn.Flatten(),
            nn.Linear(3 * 10 * 14, 3),
        ),
        (2, 5, 7),
    ),
    "pools of signed values": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.AvgPool2d(3, stride=2, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(4, 4, 1),
            nn.MaxPool2d(2, stride=1, dilation=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        (1, 12, 12),
    ),
}
"""Networks by name, with the channels, height and width of their images."""


def made(name: str, seed: int = 0) -> tuple[nn.Module, Images]:
    """Return a network in `eval()` with statistics that are nowhere 0 or 1, and images, more than half of them ink."""
    make, shape = NETWORKS[name]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.3, 2.0, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(-1.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (40, *shape)) * (random.random((40, *shape)) < 0.6)
    return model, pixels.astype(np.float32) / np.float32(255)


def exported(
    model: nn.Module,
    images: Images,
    *,
    quantized: bool,
    name: str = "tiny",
    label: str = "",
    architecture: str = "net",
) -> Bundle:
    """Return a header of a network for images, whose labels begin with `label`."""
    request = request_for(model, images, quantized=quantized, name=name, label=label, architecture=architecture)
    (bundle,) = export(model, [request])
    return bundle.with_checksum()


def request_for(
    model: nn.Module,
    images: Images,
    *,
    quantized: bool,
    name: str = "tiny",
    label: str = "",
    architecture: str = "net",
    preprocessing: str = "none",
    polarity: str = "white-on-black",
) -> ExportRequest:
    """Return what an exporter is asked for a network on images, whose labels begin with `label`."""
    with torch.inference_mode():
        logits = model(torch.from_numpy(images)).numpy()
    scheme = BYTES if quantized else FLOATS
    task = Task(
        name,
        tuple(f"{label}{index}" for index in range(logits.shape[1])),
        TensorSpec("image", images.shape[1:], polarity=polarity),
        preprocessing,
    )
    contract = Contract(task, architecture, "0" * 64, scheme.precision.value, scheme.name, temperature=1.25)
    pixels = (images[:6] * 255).round().astype(np.uint8)
    answers = tuple(map(int, logits[:6].argmax(axis=1)))
    vectors = TestVectors(tuple(range(6)), answers, pixels, logits[:6], logits[:6], 0.0)
    trained = TrainedAnswers(images, logits.argmax(axis=1), logits)
    return ExportRequest(contract, vectors, scheme, images, trained)


def header_of(name: str, *, quantized: bool) -> tuple[Header, nn.Module, Images]:
    """Return the header of a network, as it is read, with the network and its images."""
    model, images = made(name)
    return read(exported(model, images, quantized=quantized)), model, images
