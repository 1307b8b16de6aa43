from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.exporting.own_network import export_own
from mnist_edge.exporting.pipeline import export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import FLOAT32, Precision
from mnist_edge.parity.reference import Reference
from mnist_edge.training.architectures.own import OwnNetwork

PT2 = FORMATS["torch-export"]

pytestmark = pytest.mark.slow


class Spectrum(nn.Module):
    """An operator that no file may hold."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft(x)
        return spectrum.real


class Undecided(nn.Module):
    """A flow of control that depends on the data, which torch can't export."""

    def forward(self, x: Tensor) -> Tensor:
        return -x if x.sum() > 1_000 else x


class Whole(nn.Module):
    """The same, but between the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return F.relu(self.fc(x)) if x.sum() > 1_000 else self.fc(x)


class Between(nn.Module):
    """The same, after a layer that takes other shapes than an image's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3, stride=5), nn.Flatten(), nn.Linear(200, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        return -x if x.sum() > 1_000 else x


class Counted(nn.Module):
    """Python's number of images, which tracing takes for a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.reshape(len(x), -1))
        return logits


class OneMore(nn.Module):
    """Has one image more than it is given, for a while."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, x[:1]))[: x.shape[0]]


class Sensor(nn.Module):
    """Convolutions and pools along the time of a few channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(6, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
            *(nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.ReLU6(), nn.AvgPool1d(2)),
            *(nn.Conv1d(8, 8, 3, padding="same"), nn.LeakyReLU(), nn.AdaptiveMaxPool1d(4)),
            *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x.squeeze(1))
        return logits


@pytest.mark.parametrize("name", ["torchscript", "torch-export", "ncnn"])
def test_networks_along_one_axis_are_held(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, labels = torch.rand(20, 1, 6, 64), torch.arange(20) % 4
    (artifact,) = mnist_edge.export(Sensor().eval(), images, labels, formats=[name], output=tmp_path)
    assert artifact.report.max_abs_diff is not None
    assert artifact.report.max_abs_diff < 1e-5


@pytest.mark.parametrize("spec", [FORMATS["onnx"], FORMATS["torchscript"], PT2], ids=lambda spec: spec.name)
def test_a_fixed_number_of_images_is_said_to_be_one(spec: FormatSpec, reference: Reference) -> None:
    request = reference.request(spec, FLOAT32, {"opset": 18} if spec.name == "onnx" else {})
    with pytest.raises(
        UserError, match=rf"{spec.name} can't hold this network.*: its forward\(\) fixes the number of im"
    ):
        export_own(spec, OwnNetwork(Counted(), flat=False).eval(), [request])


def test_a_layer_is_blamed_whose_reason_names_other_sizes(reference: Reference) -> None:
    network = nn.Sequential(nn.Flatten(), OneMore(), nn.Linear(784, 10))
    request = reference.request(PT2, FLOAT32, {})
    with pytest.raises(UserError, match=r"can't hold the layer 1 \(OneMore\): its graph computes the size"):
        export_own(PT2, OwnNetwork(network, flat=False).eval(), [request])


def test_a_layer_that_takes_other_shapes_is_not_blamed_for_the_network(reference: Reference) -> None:
    scheme = FORMATS["onnx"].scheme("static-qdq-channel")
    assert scheme is not None
    request = reference.request(FORMATS["onnx"], scheme, {"opset": 18})
    with pytest.raises(UserError, match="this network, as Between puts its layers together: torch can't export it"):
        export_own(FORMATS["onnx"], OwnNetwork(Between(), flat=False).eval(), [request])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 8), Spectrum(), nn.Linear(5, 10)),
            r"torch-export can't hold the layer 2 \(Spectrum\): its graph calls '.*', which is not on the list",
        ),
        (
            nn.Sequential(nn.Flatten(), Undecided(), nn.Linear(784, 10)),
            r"can't hold the layer 1 \(Undecided\): torch can't export it \(Could not guard on data-dependent",
        ),
        (
            Whole(),
            r"this network, as Whole puts its layers together: torch can't export it \(Could not guard",
        ),
    ],
    ids=["operator", "layer", "whole"],
)
def test_what_cannot_be_exported_is_one_line_with_the_layer(
    network: nn.Module, message: str, reference: Reference, capfd: pytest.CaptureFixture[str]
) -> None:
    request = reference.request(PT2, FLOAT32, {})
    with pytest.raises(UserError, match=message) as caught:
        export_own(PT2, OwnNetwork(network, flat=False).eval(), [request])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("change", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_layer_whose_weight_is_computed_is_named_with_what_mends_it(
    change: Callable[[nn.Linear], nn.Module], precision: str, tmp_path: Path
) -> None:
    layer = nn.Linear(16, 3)
    layer.bias.data = torch.tensor([9.0, 0, 0])  # no rounding changes the answer
    network = nn.Sequential(nn.Flatten(), change(layer)).eval()
    images, labels = torch.rand(30, 1, 4, 4), torch.arange(30) % 3
    given: dict[str, Any] = {"formats": ["torchscript"], "precisions": [precision], "output": tmp_path}
    message = (
        r"^torchscript can't hold the layer 1 \(ParametrizedLinear\): .*; call "
        r"torch\.nn\.utils\.parametrize\.remove_parametrizations\(layer, 'weight'\) first"
    )
    with pytest.raises(UserError, match=message):
        mnist_edge.export(network, images, labels, **given)
    parametrize.remove_parametrizations(layer, "weight")
    (artifact,) = mnist_edge.export(network, images, labels, **given)
    assert artifact.contract.precision == precision


class WithOneBias(nn.Module):
    """A product with one bias for all outputs, at which onnxruntime's static quantization fails."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.bias = nn.Parameter(torch.randn(144, 12)), nn.Parameter(torch.tensor(0.5))
        self.last = nn.Linear(12, 3)
        nn.init.constant_(self.last.weight, 0.1)  # the same answer for every image

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.addmm(self.bias, images.flatten(1), self.factor))
        return logits


def test_a_scheme_that_can_not_be_made_is_refused_and_not_the_others(tmp_path: Path) -> None:
    images, labels = torch.rand(60, 1, 12, 12), torch.arange(60) % 3
    (artifact,) = mnist_edge.export(WithOneBias().eval(), images, labels, precisions=["int8"], output=tmp_path)
    refusals = {candidate.scheme: candidate.refusal for candidate in artifact.candidates if not candidate.size}
    assert refusals == {"static-qdq-channel": "too many indices for array: array is 0-dimensional, but 1 were indexed"}


@pytest.fixture
def without_linear_layers() -> Reference:
    """A network that TorchScript has no int8 for: it quantizes linear layers alone."""
    network = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()).eval()
    return mnist_edge.module_reference(network, torch.rand(30, 1, 4, 4), torch.arange(30) % 3)


def test_only_what_can_not_be_made_is_left_out(without_linear_layers: Reference, tmp_path: Path) -> None:
    settings = ExportSettings([FORMATS["torchscript"]], [Precision.FP32, Precision.INT8])
    left_out: dict[str, str] = {}
    (artifact,) = export_artifacts(
        without_linear_layers,
        settings,
        tmp_path,
        on_refusal=lambda name, refusal: left_out.update({name: str(refusal)}),
    )
    assert artifact.contract.precision == "fp32"
    ((name, reason),) = left_out.items()
    assert name == f"{artifact.path.stem}-int8.pt"
    assert reason.startswith("torchscript has no int8 for this network: it has no nn.Linear")
    assert {path.name for path in tmp_path.iterdir()} == {artifact.path.name, "manifest.json"}


def test_an_export_of_nothing_is_one_line(without_linear_layers: Reference, tmp_path: Path) -> None:
    settings = ExportSettings([FORMATS["torchscript"]], [Precision.INT8])
    output = tmp_path / "exports"
    with pytest.raises(UserError, match="torchscript has no int8"):
        export_artifacts(without_linear_layers, settings, output)
    with pytest.raises(UserError, match=f"^nothing was written to {output}: none of the formats can hold this network"):
        export_artifacts(without_linear_layers, settings, output, on_refusal=lambda *_: None)
    assert not output.exists()
