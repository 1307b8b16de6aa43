"""Networks that torch's exporter writes otherwise than the built-in ones."""

import re
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

import mnist_edge
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision

SCHEMES = [
    "none",
    "weight-only-f16",
    "weight-only-s8",
    "weight-only-s8-channel",
    "dynamic-u8-channel",
    "static-qdq-channel",
    "weight-only-s4-block",
]


KINDS = {
    Precision.FP32: {TensorProto.FLOAT},
    Precision.FP16: {TensorProto.FLOAT16},
    Precision.INT8: {TensorProto.INT8, TensorProto.UINT8},
    Precision.INT4: {TensorProto.INT4},
}


class Rows(nn.Module):
    """Linear layers that are given each row of an image, as in mixers and transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 24), nn.Linear(24, 16, bias=False), nn.Linear(16 * 16, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = torch.relu(self.second(torch.relu(self.first(images.squeeze(1)))))
        logits: Tensor = self.last(rows.flatten(1))
        return logits


class OwnFactors(nn.Module):
    """Products with parameters of one's own, from the right and transposed, one of them square."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(16 * 16, 24) / 16)
        self.second = nn.Parameter(torch.randn(24, 24) / 5)
        self.third = nn.Parameter(torch.randn(16, 24) / 5)
        self.last = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(images.flatten(1) @ self.first)
        logits: Tensor = self.last(torch.relu(hidden @ self.second) @ self.third.T)
        return logits


def exported(model: nn.Module, scheme: str, folder: Path) -> tuple[Path, Precision]:
    """Export a network to a scheme, check its logits, and return the file and its precision."""
    images, labels = torch.rand(200, 1, 16, 16), torch.full((200,), 2)
    chosen = FORMATS["onnx"].scheme(scheme)
    assert chosen is not None
    asked = scheme if len(FORMATS["onnx"].schemes_of(chosen.precision)) > 1 else None
    (artifact,) = mnist_edge.export(model, images, labels, precisions=[chosen.precision], scheme=asked, output=folder)
    difference = artifact.report.max_abs_diff
    assert difference is not None
    assert difference < (1e-5 if scheme == "none" else 0.5)
    return artifact.path, chosen.precision


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("network", [Rows, OwnFactors])
def test_products_with_a_matrix_from_the_right_are_exported(
    network: type[Rows | OwnFactors], scheme: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = network().eval()
    model.last.bias.data = torch.tensor([0.0, 0.0, 9.0])  # no rounding changes the answer
    path, precision = exported(model, scheme, tmp_path)
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    for layer in ("first", "second"):
        name = rf"network\.{layer}(\.weight)?(_half|_quantized)?"
        (kind,) = [kind for found, kind in stored.items() if re.fullmatch(name, found)]
        assert kind in KINDS[precision]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_activations_that_compare_are_exported(scheme: str, tmp_path: Path) -> None:
    """torch's exporter writes them with `Greater`, `LessOrEqual`, `Where` and `Sign`."""
    torch.manual_seed(0)
    compare = (nn.Softplus(), nn.Softplus(2, 20), nn.Softshrink(0.1), nn.Threshold(0.1, 0.1))
    last = nn.Linear(16, 3)
    last.bias.data = torch.tensor([0.0, 0.0, 9.0])  # no rounding changes the answer
    model = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16, 16), *compare, last).eval()
    exported(model, scheme, tmp_path)
