"""The culprit is found: which step departs, by how much of its own, and through its weights or its arithmetic."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from torch import nn

from mnist_edge.parity.layer_trace import chain
from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.formats.base import ArtefactError, Format
from mnist_edge.formats.registry import FORMATS, format_of
from mnist_edge.parity.layerwise import ROUNDING, LayerReport, examine_layers
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference, make_reference
from mnist_edge.parity.checks import sample_of
from mnist_edge.formats.torchscript.exporter import TORCHSCRIPT
from mnist_edge.artifact.contract import UNQUANTIZED, Contract
from mnist_edge.artifact.test_vectors import Golden
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.mnist import Split, TrainingData
from tests.conftest import RELEASES
from tests.damage import edits

MLP = ["flatten of the input", "fc1", "relu before fc2", "fc2", "relu before fc3", "fc3"]
NO_LOGITS = np.zeros((1, 10), np.float32)
CONVOLUTIONS = [f"features.{number}.0" for number in range(4)]


@pytest.fixture(scope="module")
def sample(reference: Reference) -> Reference:
    return sample_of(reference)


@pytest.fixture(scope="module")
def cnn(test_data: Split, training_data: TrainingData) -> Reference:
    """The released CNN and a part of the test images."""
    part = Split(test_data.images[:200], test_data.labels[:200])
    return make_reference(load_checkpoint(RELEASES["cnn"]), part, training_data)


def write(tmp_path: Path, format: Format, model: nn.Module, scheme: str = UNQUANTIZED) -> Path:
    """Export a model without judging it."""
    precision = "fp32" if scheme == UNQUANTIZED else "int8"
    contract = Contract("0" * 64, "mlp", precision, 18 if format is ONNX else None, {}, scheme)
    black = Golden((0,), (0,), np.zeros((1, 1, 28, 28), np.uint8), NO_LOGITS, NO_LOGITS, 1.0)
    path = tmp_path / f"a{format.suffix}"
    path.write_bytes(format.export(model, [contract], black)[0])
    return path


def look(path: Path, reference: Reference, batch: int = 1_000) -> LayerReport:
    report = examine_layers(path, reference.checkpoint.build(), reference.images, batch)
    assert report is not None
    return report


@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_the_chain_computes_what_the_model_does(architecture: str, test_data: Split) -> None:
    model = load_checkpoint(RELEASES[architecture]).build()
    images = value = test_data.images[:50]
    with torch.inference_mode():
        for step in chain(model):
            value = step.run(value)
        assert (value - model(images)).abs().max() < 1e-5


def test_a_model_that_is_no_chain_is_refused() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.relu(self.fc(x))

    with pytest.raises(ValueError, match="no chain at"):
        chain(Residual().eval())


def test_a_faithful_export_departs_nowhere(exported: list[Artefact], sample: Reference) -> None:
    for artefact in exported:
        if artefact.contract.precision == "fp32":
            report = look(artefact.path, sample)
            assert report
            assert [step.name for step in report.steps] == MLP
            assert all(step.own <= ROUNDING for step in report.steps)
            assert report.culprit == "no layer departs from the trained model by more than rounding"


@pytest.mark.parametrize("format", [ONNX, TORCHSCRIPT])
@pytest.mark.parametrize("layer", ["fc1", "fc2", "fc3"])
def test_a_perturbed_weight_is_found_in_its_layer(
    format: Format, layer: str, released: Checkpoint, sample: Reference, tmp_path: Path
) -> None:
    model = released.build()
    with torch.no_grad():
        model.get_parameter(f"{layer}.weight")[3, 200 % model.get_parameter(f"{layer}.weight").shape[1]] += 0.05
    report = look(write(tmp_path, format, model), sample)
    assert [step.name for step in report.steps if step.departs] == [layer]
    assert report.culprit.startswith(f"first departs at {layer}: its weights differ")


@pytest.mark.parametrize("format", [ONNX, TORCHSCRIPT])
def test_a_perturbed_bias_belongs_to_the_weights_of_its_layer(
    format: Format, released: Checkpoint, sample: Reference, tmp_path: Path
) -> None:
    model = released.build()
    with torch.no_grad():
        model.get_parameter("fc2.bias")[7] -= 0.01
    assert look(write(tmp_path, format, model), sample).culprit.startswith("first departs at fc2: its weights differ")


class WithoutRelu(nn.Module):
    """The MLP with its second ReLU dropped."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.flatten, self.fc1, self.fc2, self.fc3 = model.children()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc3(self.fc2(torch.relu(self.fc1(self.flatten(image)))))
        return logits


class Exponential(nn.Module):
    """A model that gives the exponential of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = torch.exp(self.model(image))
        return logits


@pytest.mark.parametrize("format", [ONNX, TORCHSCRIPT])
def test_a_dropped_relu_is_charged_to_what_lies_between(
    format: Format, released: Checkpoint, sample: Reference, tmp_path: Path
) -> None:
    report = look(write(tmp_path, format, WithoutRelu(released.build()).eval()), sample)
    assert [step.name for step in report.steps if step.departs] == ["relu before fc3"]
    assert report.culprit.startswith("first departs at relu before fc3: it computes something else (relative error")
    assert [step.error > ROUNDING for step in report.steps] == [False, False, False, False, True, True]


@pytest.mark.parametrize("format", [ONNX, TORCHSCRIPT])
def test_what_follows_the_last_layer_is_looked_at(
    format: Format, released: Checkpoint, sample: Reference, tmp_path: Path
) -> None:
    report = look(write(tmp_path, format, Exponential(released.build()).eval()), sample)
    assert [step.name for step in report.steps if step.departs] == ["nothing of the output"]


def test_the_picture_is_looked_at_before_the_first_layer(exports: Path, sample: Reference, tmp_path: Path) -> None:
    def invert(graph: onnx.ModelProto) -> None:
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), "one"))
        node = onnx.helper.make_node("Sub", ["one", "image"], ["inverted"])
        next(n for n in graph.graph.node if "image" in n.input).input[0] = "inverted"
        graph.graph.node.insert(0, node)

    path = tmp_path / "a.onnx"
    path.write_bytes(damage.resealed((exports / "mnist-mlp.onnx").read_bytes(), invert))
    report = look(path, sample)
    assert [step.name for step in report.steps if step.departs] == ["flatten of the input"]


def test_weights_under_other_names_are_told_by_their_order(exports: Path, sample: Reference, tmp_path: Path) -> None:
    def rename(graph: onnx.ModelProto) -> None:
        for tensor in graph.graph.initializer:
            tensor.name = f"anonymous.{tensor.name}"
        names = {tensor.name.removeprefix("anonymous."): tensor.name for tensor in graph.graph.initializer}
        for node in graph.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = names.get(name, name)

    path = tmp_path / "a.onnx"
    path.write_bytes(damage.resealed((exports / "mnist-mlp.onnx").read_bytes(), rename))
    report = look(path, sample)
    assert report
    assert [step.name for step in report.steps] == MLP


def test_a_graph_of_other_layers_is_said_so(exports: Path, cnn: Reference) -> None:
    for name in ("mnist-mlp.onnx", "mnist-mlp.pt"):
        with pytest.raises(ArtefactError, match="layers cannot be told"):
            look(exports / name, cnn)


def test_int8_parts_the_error_of_the_weights_from_that_of_the_arithmetic(
    exported: list[Artefact], sample: Reference, released: Checkpoint
) -> None:
    """The weights' part is that of the trained model with the dequantised weights, computed here by other means."""
    (artefact,) = [a for a in exported if a.path.name == "mnist-mlp-int8.onnx"]
    report = look(artefact.path, sample, batch=1)
    assert [step.name for step in report.steps if step.departs] == ["fc1", "fc2", "fc3"]
    for step in report.steps:
        if step.weights is not None and step.arithmetic is not None:
            assert abs(step.weights - step.arithmetic) <= step.own <= step.weights + step.arithmetic
            assert 1e-4 < step.own < 0.05

    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(artefact.path).graph.initializer}
    model = released.build()
    with torch.inference_mode():
        for name in ("fc1", "fc2", "fc3"):
            levels = stored[f"{name}.weight_quantized"].astype(np.float32) - stored[f"{name}.weight_zero_point"]
            model.get_parameter(f"{name}.weight").copy_(torch.tensor((levels * stored[f"{name}.weight_scale"]).T))
        eager = torch.from_numpy(sample.logits).double()
        logits = model(torch.from_numpy(sample.images)).double()
    assert report.weights == pytest.approx(float((logits - eager).norm() / eager.norm()), rel=1e-3)


def test_a_quantised_layer_of_torchscript_is_read_too(exported: list[Artefact], sample: Reference) -> None:
    (artefact,) = [a for a in exported if a.path.name == "mnist-mlp-int8.pt"]
    report = look(artefact.path, sample, batch=1)
    assert report.culprit.startswith("first departs at fc1: its weights differ")
    assert report.weights is not None
    assert report.arithmetic is not None
    assert 0 < report.arithmetic < report.weights < 0.05


def test_rounded_activations_are_not_charged_to_the_weights(exports: Path, sample: Reference, tmp_path: Path) -> None:
    """A float file whose second layer's input is rounded to eighths has the right weights."""

    def round_input(graph: onnx.ModelProto) -> None:
        eight = onnx.numpy_helper.from_array(np.array(0.125, np.float32), "eighth")
        zero = onnx.numpy_helper.from_array(np.array(0, np.uint8), "zero")
        graph.graph.initializer.extend([eight, zero])
        index = next(i for i, node in enumerate(graph.graph.node) if "fc2.weight" in node.input)
        product = graph.graph.node[index]
        quantise = onnx.helper.make_node("QuantizeLinear", [product.input[0], "eighth", "zero"], ["levels"])
        back = onnx.helper.make_node("DequantizeLinear", ["levels", "eighth", "zero"], ["rounded"])
        product.input[0] = "rounded"
        graph.graph.node.insert(index, back)
        graph.graph.node.insert(index, quantise)

    path = tmp_path / "a.onnx"
    path.write_bytes(damage.resealed((exports / "mnist-mlp.onnx").read_bytes(), round_input))
    report = look(path, sample)
    assert [step.name for step in report.steps if step.departs] == ["relu before fc2"]
    assert report.weights == 0
    assert report.arithmetic == report.steps[-1].error > 1e-3


@pytest.mark.parametrize("format", [ONNX, TORCHSCRIPT])
def test_a_network_of_convolutions_with_folded_normalisation(format: Format, cnn: Reference, tmp_path: Path) -> None:
    faithful = look(write(tmp_path, format, cnn.checkpoint.build()), cnn)
    assert faithful
    assert [step.name for step in faithful.steps if step.weights is not None] == [*CONVOLUTIONS, "fc"]
    model = cnn.checkpoint.build()
    with torch.no_grad():
        model.get_parameter("features.2.1.bias")[5] += 0.05
    report = look(write(tmp_path, format, model), cnn)
    assert [step.name for step in report.steps if step.departs] == ["features.2.0"]
    assert "its weights differ" in report.culprit


def test_quantised_convolutions(cnn: Reference, tmp_path: Path) -> None:
    report = look(write(tmp_path, ONNX, cnn.checkpoint.build(), "dynamic-u8"), cnn, batch=1)
    assert [step.name for step in report.steps if step.departs] == [*CONVOLUTIONS, "fc"]
    assert all(step.weights is not None and 0 < step.weights < 0.05 for step in report.steps if step.departs)
    linear = look(write(tmp_path, TORCHSCRIPT, cnn.checkpoint.build(), "dynamic-s8-channel"), cnn, batch=1)
    assert [step.name for step in linear.steps if step.departs] == ["fc"]  # torch quantises linear layers only


def test_bytes_that_are_floats_again_before_they_are_used_err_by_their_weights_alone(
    cnn: Reference, tmp_path: Path
) -> None:
    report = look(write(tmp_path, ONNX, cnn.checkpoint.build(), "weight-only-s8-channel"), cnn)
    assert [step.name for step in report.steps if step.departs] == [*CONVOLUTIONS, "fc"]
    assert report.weights is not None
    assert report.arithmetic is not None
    assert report.arithmetic <= ROUNDING < report.weights < 0.05


def test_what_is_handed_down_is_not_charged_again(exports: Path, sample: Reference, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(damage.resealed((exports / "mnist-mlp.onnx").read_bytes(), damage.infinite_bias))
    report = look(path, sample)
    assert [step.name for step in report.steps if step.departs] == ["fc3"]
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told["steps"][-1]["max_error"] is None
    assert told["culprit"] == report.culprit


def test_every_format_says_whether_it_shows_its_layers(exported: list[Artefact], sample: Reference) -> None:
    assert all(format.layers for format in FORMATS.values())
    hidden = dataclasses.replace(format_of(exported[0].path), layers=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, hidden.name, hidden)
        assert examine_layers(exported[0].path, sample.checkpoint.build(), sample.images, 1) is None
