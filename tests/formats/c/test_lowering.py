"""Lowering: the same numbers as torch, for every kind of layer, and one line for what can't be written."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.errors import UserError
from mnist_edge.formats.c.lowering import lower
from mnist_edge.formats.c.reference import exact_outputs
from mnist_edge.types import TensorSpec
from tests.formats.c.networks import NETWORKS, Viewed, made


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_double_precision_is_torchs(name: str) -> None:
    model, images = made(name)
    network = lower(model, TensorSpec("image", images.shape[1:]))
    *_, (_, logits) = exact_outputs(network, images.transpose(0, 2, 3, 1))
    with torch.inference_mode():
        expected = model.double()(torch.from_numpy(images).double()).numpy()
    assert np.abs(logits.reshape(expected.shape) - expected).max() < 1e-12
    assert np.ptp(expected, axis=0).min() > 0.01


class InPlace(nn.Module):
    """A statement that changes a value, whose result nobody takes."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.first, self.last, self.change = nn.Linear(16, 4), nn.Linear(4, 2), change

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.first(image.view(image.size(0), -1))
        self.change(hidden)
        logits: Tensor = self.last(hidden)
        return logits


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.first(torch.flatten(image, 1))
        logits: Tensor = self.third(hidden + self.second(hidden))
        return logits


class Dependent(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image if image.sum() > 0 else -image


class Asserting(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        assert isinstance(image, Tensor)
        return image


def after_flatten(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *modules)


def with_hook(model: nn.Sequential, layer: int | None = None) -> nn.Module:
    """Return a network with a hook on one of its layers, or on the whole of it."""
    part = model if layer is None else model[layer]
    part.register_forward_hook(lambda _, __, output: output / 20)
    return model


def with_pre_hook(model: nn.Sequential, layer: int) -> nn.Module:
    model[layer].register_forward_pre_hook(lambda _, inputs: (inputs[0] - 0.5,))
    return model


def with_forward(model: nn.Sequential, layer: int | None = None) -> nn.Module:
    """Return a network of which one object, not its class, has another `forward`."""
    part = model if layer is None else model[layer]
    part.forward = lambda image: nn.functional.linear(image.flatten(1), torch.ones(2, 16))
    return model


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "an unknown layer": (
        after_flatten(nn.Linear(16, 4), nn.GELU(), nn.Linear(4, 2)),
        r"GELU \(2\) is not a layer that",
    ),
    "an unknown function": (nn.Sequential(nn.Conv2d(1, 1, 4), nn.Softmax(1)), r"Softmax \(1\)"),
    "two ways": (Residual(), r"\(second\) the values do not go through one layer after the other|\((add|first)\)"),
    "what depends on values": (
        Dependent(),
        r"torch\.fx can't follow its forward\(\) \(symbolically traced variables cannot be used .*\) in line \d+ of "
        r"test_lowering\.py; export it to another --format",
    ),
    "what looks at its value": (
        Asserting(),
        r"torch\.fx can't follow its forward\(\) \(.*\) in line \d+ of test_lower",
    ),
    "another padding": (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), "pads with 'reflect'"),
    "unequal parts": (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9, 2)), "4×4 into equal parts"),
    "a divisor": (nn.Sequential(nn.AvgPool2d(2, divisor_override=3)), "divides by another number"),
    "windows of fewer values": (nn.Sequential(nn.AvgPool2d(3, ceil_mode=True)), "divides by another number"),
    "padding and dilation": (nn.Sequential(nn.MaxPool2d(2, padding=1, dilation=2)), "has both padding and dilation"),
    "no statistics": (nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)), "keeps no mean"),
    "images as lines": (nn.Sequential(nn.Linear(4, 2)), "does not take all 16 values"),
    "an image after all": (after_flatten(nn.Conv2d(1, 1, 1)), r"Conv2d \(1\) follows Flatten"),
    "half a Flatten": (nn.Sequential(nn.Flatten(2)), "does not flatten an image"),
    "a view of several images": (Viewed(lambda x: x.view(2, -1), 18), r"view \(view\) is not a layer"),
    "a view of other images": (
        Viewed(lambda x: x.view(x.size(1), -1), 18),
        r"is not a layer that is known|one layer after",
    ),
    "lines of two images": (
        nn.Sequential(Viewed(lambda x: x.view(-1, 9).view(-1, 18), 18)),
        r"view \(flatten\) is not of the 18 values of an image",
    ),
    "a change in place": (InPlace(lambda x: x.relu_()), "the values do not go through one layer after the other"),
    "a function in place": (InPlace(lambda x: functional.relu(x, inplace=True)), "one layer after the other"),
    "a factor in place": (InPlace(lambda x: x.mul_(2)), "one layer after the other"),
    "a normalization of other values": (
        nn.Sequential(nn.Flatten(), nn.Linear(16, 20), nn.Unflatten(1, (10, 2)), nn.BatchNorm1d(10)),
        r"Unflatten \(2\) is not a layer",
    ),
    "a mean over channels": (Viewed(lambda x: x.mean((1, 2)), 3), r"mean \(mean\) is not a layer"),
    "more values than are run": (
        nn.Sequential(nn.Conv2d(1, 1, 1, padding=5_000), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)),
        r"Conv2d \(0\) is too large \(a layer has more than 16,777,216 values",
    ),
    "no logits": (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Flatten()),
        r"AvgPool2d\), does not give logits.*; export it to another --format",
    ),
    "a hook": (
        with_hook(after_flatten(nn.Linear(16, 2)), 1),
        r"Linear \(1\) has a forward hook, .* handle\.remove\(\); expected",
    ),
    "a hook before": (with_pre_hook(after_flatten(nn.Linear(16, 2)), 0), r"Flatten \(0\) has a forward hook"),
    "a hook of all": (
        with_hook(after_flatten(nn.Linear(16, 2))),
        r"Sequential \(the whole network\) has a forward hook",
    ),
    "a forward() of one object": (
        with_forward(after_flatten(nn.Linear(16, 2)), 1),
        r"Linear \(1\) has a forward\(\) that",
    ),
    "a forward() of the whole": (
        with_forward(after_flatten(nn.Linear(16, 2))),
        r"Sequential \(the whole network\) has a",
    ),
    "nothing": (nn.Sequential(nn.Flatten()), "not 1 to 1,000 layers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_written_is_refused_in_one_line_that_names_the_layer(what: str) -> None:
    model, message = REFUSED[what]
    with pytest.raises(UserError, match=message) as caught:
        lower(model.eval(), TensorSpec("image", (1, 4, 4)))
    assert str(caught.value).startswith("cannot write this network layer by layer: ")
    assert "\n" not in str(caught.value)


def test_an_input_that_does_not_start_at_zero_is_refused() -> None:
    with pytest.raises(UserError, match="its input starts at -1, expected 0"):
        lower(after_flatten(nn.Linear(16, 2)).eval(), TensorSpec("image", (1, 4, 4), range=(-1.0, 1.0)))


@pytest.mark.parametrize(("stride", "outputs"), [(2, 2), (3, 2), (4, 1)])
def test_no_window_begins_outside_of_the_image(stride: int, outputs: int) -> None:
    """As torch counts windows where the last one may be a part."""
    pool = nn.MaxPool2d(1, stride, ceil_mode=True)
    assert pool(torch.zeros(1, 1, 4, 4)).shape == (1, 1, outputs, outputs)
    model = nn.Sequential(pool, nn.Flatten(), nn.Linear(outputs**2, 2)).eval()
    assert lower(model, TensorSpec("image", (1, 4, 4))).layers[0].window.outputs == (outputs, outputs, 1)


def test_a_step_of_the_input_is_a_part_of_its_range() -> None:
    network = lower(after_flatten(nn.Linear(16, 2)).eval(), TensorSpec("image", (1, 4, 4), range=(0.0, 2.0)))
    assert network.input_step == 2 / 255
