from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.parity.layer_trace import Layer, trace, trace_layers
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.splits import Split
from tests.conftest import RELEASES
from tests.parity.networks import NETWORKS

NAMES = {
    "mlp": ["flatten of the input", "fc1", "relu before fc2", "fc2", "relu before fc3", "fc3", "nothing of the output"],
    "cnn": [
        "nothing of the input",
        "features.0.0",
        *(name for number in range(1, 7) for name in (f"relu before features.{number}.0", f"features.{number}.0")),
        "relu and flatten before fc",
        "fc",
        "nothing of the output",
    ],
}


def through(layers: Sequence[Layer], images: Tensor) -> Tensor:
    """Return what layers give that are run one after the other."""
    value = images
    for layer in layers:
        value = layer.run(value)
    return value


@pytest.mark.parametrize("architecture", NAMES)
def test_the_layers_compute_what_the_model_does(architecture: str, test_data: Split) -> None:
    model = load_checkpoint(RELEASES[architecture]).build()
    layers = trace_layers(model)
    assert layers is not None
    assert [layer.name for layer in layers] == NAMES[architecture]
    images = test_data.images[:50]
    with torch.inference_mode():
        value = through(layers, images)
        assert (value - model(images)).abs().max() < 1e-5


def test_batch_normalization_is_part_of_the_convolution_before_it() -> None:
    layers = trace_layers(load_checkpoint(RELEASES["cnn"]).build())
    assert layers is not None
    modules = [layer.module for layer in layers if layer.module]
    assert [type(module) for module in modules] == [nn.Conv2d] * 7 + [nn.Linear]
    assert all(module.bias is not None for module in modules)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [2, (1, 2), "same"])
def test_padding_by_other_values_than_zeros_is_a_part_of_its_own(
    mode: Literal["reflect", "replicate", "circular"], padding: int | tuple[int, int] | str
) -> None:
    torch.manual_seed(0)
    first, second = (nn.Conv2d(*sides, (3, 4), padding=padding, padding_mode=mode) for sides in ((1, 2), (2, 3)))
    model = nn.Sequential(first, nn.BatchNorm2d(2), nn.ReLU(), second).eval()
    layers = trace_layers(model)
    assert layers is not None
    assert [layer.name for layer in layers] == ["pad of the input", "0", "relu and pad before 3", "3", NAMES["mlp"][-1]]
    images = torch.rand(2, 1, 6, 7)
    with torch.inference_mode():
        assert torch.allclose(through(layers, images), model(images), atol=1e-6)
        assert layers[1].run(layers[0].run(images)).shape == first(images).shape
    assert (first.padding_mode, second.padding) == (mode, nn.Conv2d(2, 3, (3, 4), padding=padding).padding)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_normalization_is_part_of_the_linear_layer_before_it(*, bias: bool, affine: bool) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5, affine=affine)
    model = nn.Sequential(nn.Linear(4, 5, bias=bias), norm, nn.ReLU(), nn.Linear(5, 3)).eval()
    for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        if values is not None:
            nn.init.uniform_(values, 0.5, 2)
    layers = trace_layers(model)
    assert layers is not None
    assert [layer.name for layer in layers][1:-1] == ["0", "relu before 3", "3"]
    images = torch.randn(6, 4)
    with torch.inference_mode():
        value = through(layers, images)
        assert (value - model(images)).abs().max() < 1e-5


def test_normalization_after_another_operation_lies_between_layers() -> None:
    """It is not part of the layer before, which gives what the operation is done to."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5)
    for values in (norm.running_mean, norm.running_var):
        assert values is not None
        nn.init.uniform_(values, 0.5, 2)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), norm, nn.Linear(5, 3)).eval()
    layers = trace_layers(model)
    assert layers is not None
    assert [layer.name for layer in layers][1:-1] == ["0", "relu and batchnorm1d before 3", "3"]
    images = torch.randn(6, 4)
    with torch.inference_mode():
        value = through(layers, images)
        assert value.equal(model(images))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(2), nn.BatchNorm1d(5, track_running_stats=False)])
def test_normalization_that_can_not_be_folded_is_not_part_of_a_chain(norm: nn.BatchNorm1d) -> None:
    assert trace_layers(nn.Sequential(nn.Linear(4, 5), norm, nn.Linear(5, 3)).eval()) is None


class Named(nn.Module):
    """Functions between the layers with arguments by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(x, start_dim=1)
        x = functional.leaky_relu(self.first(x), negative_slope=0.3, inplace=True)
        logits: Tensor = self.last(functional.dropout(x, training=self.training))
        return logits


def test_functions_keep_their_named_arguments() -> None:
    torch.manual_seed(0)
    model = Named().eval()
    layers = trace_layers(model)
    assert layers is not None
    assert [layer.name for layer in layers][2] == "leaky_relu and dropout before last"
    value = images = torch.randn(5, 3, 2, 2)
    with torch.inference_mode():
        for layer in layers:
            before = value.clone()
            result = layer.run(value)
            assert value.equal(before)  # whoever compares runs a layer on the same value more than once
            value = result
        assert value.equal(model(images))


class Twice(nn.Module):
    """A layer whose output is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.fc(x))


class Ignored(nn.Module):
    """An operation whose result nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.fc(x)
        torch.tanh(hidden)
        return hidden


class WithArguments(nn.Module):
    """A function between the layers that takes more than the value."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.fc(x), 1)


class Added(nn.Module):
    """A function between the layers that takes the value twice, once by name."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc(x)
        return torch.add(hidden, other=hidden)


class OfData(nn.Module):
    """A branch that depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(x) if x.sum() > 0 else x
        return result


class Asserting(nn.Module):
    """Code that looks at what it is given: torch.fx gives it no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(x, Tensor)
        result: Tensor = self.fc(x)
        return result


@pytest.mark.parametrize("network", [Twice, Ignored, WithArguments, Added, OfData, Asserting])
def test_a_model_that_is_not_a_chain_has_no_layers(network: type[nn.Module]) -> None:
    assert trace_layers(network().eval()) is None


class Exhausting(nn.Module):
    """Code that finds no memory."""

    def forward(self, _: Tensor) -> Tensor:
        raise MemoryError


def test_a_lack_of_memory_is_not_taken_for_a_model_that_is_not_a_chain() -> None:
    with pytest.raises(MemoryError):
        trace_layers(Exhausting())


@pytest.mark.parametrize("network", NETWORKS)
def test_residual_and_untraceable_networks_have_no_layers(network: str, released: Checkpoint) -> None:
    model = NETWORKS[network](released.task).eval()
    assert trace_layers(model) is None
    assert (trace(model) is None) == (network == "untraceable")


@pytest.mark.parametrize("architecture", NAMES)
def test_tracing_leaves_the_model_as_it_was(architecture: str, released: Checkpoint) -> None:
    model = build_model(architecture, released.task).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace_layers(model)
    assert list(model.state_dict()) == list(before)
    assert all(before[name].equal(tensor) for name, tensor in model.state_dict().items())
