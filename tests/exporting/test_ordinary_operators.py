"""Operators of tensors that gates and normalizations are written with, in the formats that hold them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.exporting.test_ordinary_networks import FLOATS, SIDE, TORCHES, Written, assert_is_exported

pytestmark = pytest.mark.slow


def of_functions(*functions: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a network that gives what each of them gives of four values, side by side."""

    def together(layers: nn.ModuleDict, images: Tensor) -> Tensor:
        hidden = layers["first"](images.flatten(1))
        logits: Tensor = layers["last"](torch.cat([function(hidden * 1) for function in functions], 1))
        return logits

    return Written(together, first=nn.Linear(SIDE * SIDE, 4), last=nn.LazyLinear(5))


def products(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    hidden = torch.mm(images.flatten(1), layers["first"].get_parameter("weight").T)
    logits: Tensor = layers["last"](torch.bmm(hidden[:, :, None], hidden[:, None]).flatten(1))
    return logits


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "gates": (
        lambda: of_functions(
            *(lambda x: 1 - x, lambda x: torch.lerp(x, -x, 0.3), lambda x: torch.lerp(x, -x, x.sigmoid())),
            *(lambda x: torch.where(x > 0, x, x.exp()), lambda x: x * (x >= 0.1).float(), lambda x: x * (x < 0)),
            *(lambda x: x.masked_fill(x <= 0, 0.5), lambda x: torch.minimum(x, -x), lambda x: torch.maximum(x, 2 * x)),
        ),
        FLOATS,
    ),
    "functions of one value": (
        lambda: of_functions(
            *(lambda x: (1 + x * x).log(), lambda x: x.abs().log1p(), torch.sin, torch.cos, torch.sign, torch.erf),
            *(lambda x: x.abs() ** 0.5, lambda x: 2**x, lambda x: x.abs() ** x, torch.clone, torch.detach, torch.expm1),
            nn.functional.relu6,
        ),
        TORCHES,
    ),
    "functions of one value in place": (
        lambda: of_functions(
            *(lambda x: x.sub_(0.5), lambda x: x.div_(3), lambda x: x.clamp_(0, 1), lambda x: x.clamp_min_(0)),
            *(lambda x: x.exp_(), lambda x: x.neg_(), lambda x: x.abs_(), lambda x: nn.functional.relu6(x, True)),
        ),
        FLOATS,
    ),
    "normalizations": (
        lambda: of_functions(
            *(lambda x: nn.functional.normalize(x, dim=-1), lambda x: nn.functional.rms_norm(x, (4,))),
            *(lambda x: x / (1 + x.var(-1, keepdim=True)), lambda x: x / (1 + x.std(-1, keepdim=True))),
            *(lambda x: x - torch.var_mean(x, -1, keepdim=True)[1], lambda x: x - x.amin(-1, keepdim=True)),
            *(lambda x: x - x.max(-1, keepdim=True).values, lambda x: x - x.min(-1, keepdim=True).values),
            *(lambda x: x - x.logsumexp(-1, keepdim=True), lambda x: torch.stack([x, -x], 1).amax(1)),
        ),
        TORCHES,
    ),
    "products": (lambda: Written(products, first=nn.Linear(SIDE * SIDE, 4, bias=False), last=nn.Linear(16, 5)), FLOATS),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_operators_is_exported_in_float32(name: str, tmp_path: Path) -> None:
    assert_is_exported(*NETWORKS[name], tmp_path)
