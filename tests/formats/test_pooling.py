"""Average pools that a runtime would compute otherwise are refused by name before they are converted."""

import re

import numpy as np
import pytest
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.formats.pooling import refuse_cut_windows, refuse_divisors
from mnist_edge.formats.registry import FORMATS
from tests.formats.c.networks import request_for


def network(pool: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Identity(), pool, nn.Flatten(), nn.LazyLinear(3)).eval()


# With the size of the images below, the last windows end outside the padding.
CUT = nn.AvgPool2d(3, 2, 1, ceil_mode=True)
DIVIDED = nn.AvgPool2d(2, divisor_override=3)


@pytest.mark.parametrize(
    ("format_name", "pool", "option"),
    [
        ("onnx", DIVIDED, "divisor_override"),
        ("ncnn", DIVIDED, "divisor_override"),
        ("ncnn", CUT, "ceil_mode and count_include_pad together"),
        ("ncnn", nn.AvgPool2d(3, 2, ceil_mode=True), "ceil_mode and count_include_pad together"),
        ("openvino", CUT, "ceil_mode and count_include_pad together"),
    ],
)
def test_an_exporter_names_the_layer_and_its_option(format_name: str, pool: nn.Module, option: str) -> None:
    model = network(pool)
    request = request_for(model, np.ones((6, 1, 8, 8), np.float32), quantized=False)
    start = re.escape(f"{format_name} can't hold the layer 1 (AvgPool2d): ")
    with pytest.raises(UserError, match=f"^{start}.* because of its {option}: .*or export to another format$"):
        FORMATS[format_name].exporter().export(model, [request])


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=False),
        nn.AvgPool2d((2, 4), (3, 2), (1, 1), ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    ],
)
def test_other_pools_are_converted(pool: nn.Module) -> None:
    model = network(pool)
    refuse_cut_windows(model, (1, 8, 8), "any", unpadded=True)
    refuse_divisors(model, "any")


def test_without_padding_some_formats_know_what_is_inside() -> None:
    refuse_cut_windows(network(nn.AvgPool2d(3, 2, ceil_mode=True)), (1, 8, 8), "any", unpadded=False)
