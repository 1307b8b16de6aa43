"""Ways to write a network that torch.fx traces, and that are the same chain of layers."""

import os
import statistics
from collections.abc import Callable
from operator import methodcaller
from sysconfig import get_path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.formats.c.lowering import lower
from mnist_edge.formats.c.reference import exact_outputs
from mnist_edge.formats.c.tracing import modules_of
from mnist_edge.types import TensorSpec
from tests.formats.c.networks import Viewed

FLATTENED: dict[str, Callable[[Tensor], Tensor]] = {
    "view, number": lambda x: x.view(-1, 18),
    "view, size": lambda x: x.view(x.size(0), -1),
    "view, both": lambda x: x.view(x.size()[0], 18),
    "view, tuple": lambda x: x.view((x.shape[0], -1)),
    "reshape": lambda x: x.reshape(x.shape[0], -1),
    "flatten, by name": lambda x: x.flatten(start_dim=1),
    "flatten, all by name": lambda x: torch.flatten(input=x, start_dim=1, end_dim=-1),
    "torch.reshape": lambda x: torch.reshape(x, (x.shape[0], 18)),
}


def logits_and_expected(model: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    images = np.random.default_rng(0).random((5, 1, 4, 4), np.float32)
    *_, (_, logits) = exact_outputs(lower(model.eval(), TensorSpec("image", (1, 4, 4))), images.transpose(0, 2, 3, 1))
    with torch.inference_mode():
        expected: NDArray[np.float64] = model.double()(torch.from_numpy(images).double()).numpy()
    return logits.reshape(expected.shape), expected


@pytest.mark.parametrize("way", FLATTENED)
def test_a_view_of_each_image_as_a_line_is_flatten(way: str) -> None:
    torch.manual_seed(0)
    logits, expected = logits_and_expected(Viewed(FLATTENED[way], 18))
    assert np.abs(logits - expected).max() < 1e-12


@pytest.mark.parametrize(
    "mean",
    [
        lambda x: x.mean((2, 3)),
        lambda x: x.mean(dim=[-1, -2]),
        lambda x: torch.mean(x, (2, 3)),
        lambda x: torch.mean(x, dim=(3, 2), keepdim=True).flatten(1),
    ],
)
def test_the_mean_over_an_image_is_a_pool(mean: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    logits, expected = logits_and_expected(Viewed(mean, 2))
    assert np.abs(logits - expected).max() < 1e-12


def test_a_call_that_no_module_can_make_is_refused() -> None:
    model = Viewed(methodcaller("flatten", 1, out_dim="values"), 18)
    with pytest.raises(UserError, match=r"flatten \(flatten\) has arguments that are not known here"):
        modules_of(model)


class Around(nn.Module):
    """A network around another one, as torch.fx follows it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits


def test_a_hook_of_a_part_that_torch_fx_looks_into_is_a_layer() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(16, 8))
    first.register_forward_hook(lambda _, __, output: torch.relu(output))
    logits, expected = logits_and_expected(Around(nn.Sequential(first, nn.Linear(8, 3))))
    assert np.abs(logits - expected).max() < 1e-12


def test_a_forward_of_a_part_that_torch_fx_looks_into_is_followed() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(16, 8))
    first.forward = lambda image: torch.relu(first[1](first[0](image)))  # type: ignore[method-assign]
    logits, expected = logits_and_expected(Around(nn.Sequential(first, nn.Linear(8, 3))))
    assert np.abs(logits - expected).max() < 1e-12


class Measured(nn.Module):
    """Code that gives its images to a library, which can't take what torch.fx gives it."""

    def __init__(self, measure: Callable[[Any], object]) -> None:
        super().__init__()
        self.measure, self.last = measure, nn.Linear(16, 3)

    def forward(self, image: Tensor) -> Tensor:
        self.measure(image)
        logits: Tensor = self.last(image.flatten(1))
        return logits


@pytest.mark.parametrize("measure", [statistics.mean, np.linalg.norm, os.path.join])
def test_the_line_that_torch_fx_does_not_follow_is_the_network_s_own(measure: Callable[[Any], object]) -> None:
    with pytest.raises(UserError, match=r"\) in line \d+ of test_tracing\.py; export it to another --format$"):
        modules_of(Measured(measure))


def test_a_line_of_an_installed_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile("def forward(self, image):\n return self.measure(image)", f"{get_path('purelib')}/nets.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    monkeypatch.setattr(Measured, "forward", names["forward"])
    with pytest.raises(UserError, match=r"\) in line 2 of nets\.py; export it to another --format$"):
        modules_of(Measured(statistics.mean))


def test_no_line_is_named_where_no_code_is_the_network_s_own() -> None:
    with pytest.raises(UserError, match=r'missing the required "forward" function\); export it to another --format$'):
        modules_of(nn.ModuleList([nn.Linear(16, 3)]))


def test_a_network_is_not_blamed_for_a_lack_of_memory() -> None:
    def fail(_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        modules_of(Measured(fail))
