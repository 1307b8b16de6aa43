"""What OpenVINO can't convert is refused in one line that names the operator."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_edge.errors import UserError
from mnist_edge.formats.openvino.exporter import export
from tests.formats.c.networks import request_for


class Computed(nn.Module):
    """A linear layer after a function."""

    def __init__(self, function: Callable[[Tensor], Tensor], features: int) -> None:
        super().__init__()
        self.function, self.last = function, nn.Linear(features, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.function(images).flatten(1))
        return logits


NOT_CONVERTED: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "lgamma": (torch.lgamma, 16),
    "avg_pool2d": (lambda images: functional.avg_pool2d(images, 2, divisor_override=3), 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("operator", NOT_CONVERTED)
def test_an_operator_that_is_not_converted_is_named(operator: str) -> None:
    model = Computed(*NOT_CONVERTED[operator]).eval()
    request = request_for(model, np.ones((6, 1, 4, 4), np.float32), quantized=False)
    with pytest.raises(
        UserError, match=rf"^OpenVINO cannot hold this network \([^:]*: aten\.{operator}\.default\): export"
    ):
        export(model, [request])
