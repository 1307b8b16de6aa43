"""The culprit is found: which layer diverges, by how much of its own, and through its weights or its arithmetic."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest
import torch
from torch import nn

from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.formats.build import Intermediates, LayerIO
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.parity.layerwise import ROUNDING_RTOL, LayerDivergence, LayerwiseReport, compare_layers
from mnist_edge.parity.module_reference import module_reference
from mnist_edge.parity.reference import Reference
from mnist_edge.sandbox.client import Session, open_session
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.types import AnyArray, Images, Logits
from tests.damage import catalog, edits
from tests.damage.edits import Edit, tampered
from tests.parity.networks import reference_of
from tests.parity.unjudged import unjudged

ONNX = FORMATS["onnx"]
SHOWING = [spec for spec in FORMATS.values() if spec.intermediates]
"""The formats that show the values between layers."""

MLP = ["flatten of the input", "fc1", "relu before fc2", "fc2", "relu before fc3", "fc3"]
CONVOLUTIONS = [f"features.{number}.0" for number in range(7)]

for_each_format = pytest.mark.parametrize("spec", SHOWING, ids=lambda spec: spec.name)


@pytest.fixture(scope="module")
def sample(reference: Reference) -> Reference:
    return reference.sample()


def compare(artifact: ArtifactFile, reference: Reference, batch: int = 1_000) -> LayerwiseReport:
    return compare_layers(artifact, reference.checkpoint.build(), reference.images, batch)


def learned(norm: nn.BatchNorm1d) -> nn.BatchNorm1d:
    """Return batch normalization of which each channel has learned something else."""
    for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        if values is not None:
            nn.init.uniform_(values, 0.5, 2)
    return norm


def altered(exports: Path, edit: Edit) -> ArtifactFile:
    """Return the exported float32 ONNX file after an edit."""
    artifact = read_artifact(exports / "mnist-mlp.onnx")
    data = tampered(artifact.bundle.data, edit)
    return dataclasses.replace(artifact, bundle=dataclasses.replace(artifact.bundle, files={"": data}))


def diverging(report: LayerwiseReport) -> list[str]:
    return [layer.name for layer in report.layers if layer.diverges]


@pytest.mark.parametrize("network", ["residual", "normalized-residual", "untraceable"])
def test_layers_are_not_available_for_a_network_that_is_not_a_chain(
    network: str,
    exports: Path,
    released: Checkpoint,
    test_data: Split,
    training_data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = reference_of(monkeypatch, network, released, test_data, training_data)
    with pytest.raises(ArtifactError, match="not available for this network, which is not a chain of layers"):
        compare(read_artifact(exports / "mnist-mlp.onnx"), other)


def test_a_faithful_export_diverges_nowhere(exported: list[Artifact], sample: Reference) -> None:
    for exported_artifact in exported:
        artifact = read_artifact(exported_artifact.path)
        if exported_artifact.contract.precision == "fp32" and artifact.spec.intermediates:
            report = compare(artifact, sample)
            assert report
            assert [layer.name for layer in report.layers] == MLP
            assert all(layer.own <= ROUNDING_RTOL for layer in report.layers)
            assert report.culprit == "no layer diverges from the trained model by more than rounding"


@pytest.mark.slow
@for_each_format
@pytest.mark.parametrize("layer", ["fc1", "fc2", "fc3"])
def test_a_perturbed_weight_is_found_in_its_layer(
    spec: FormatSpec, layer: str, released: Checkpoint, sample: Reference
) -> None:
    model = released.build()
    with torch.no_grad():
        model.get_parameter(f"{layer}.weight")[3, 200 % model.get_parameter(f"{layer}.weight").shape[1]] += 0.05
    report = compare(unjudged(spec, sample, model=model), sample)
    assert diverging(report) == [layer]
    assert report.culprit.startswith(f"first diverges at {layer}: its weights differ")


@for_each_format
def test_a_perturbed_bias_belongs_to_the_weights_of_its_layer(
    spec: FormatSpec, released: Checkpoint, sample: Reference
) -> None:
    model = released.build()
    with torch.no_grad():
        model.get_parameter("fc2.bias")[7] -= 0.01
    report = compare(unjudged(spec, sample, model=model), sample)
    assert report.culprit.startswith("first diverges at fc2: its weights differ")


class WithoutRelu(nn.Module):
    """The MLP with its second ReLU dropped."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.flatten, self.fc1, self.fc2, self.fc3 = model.children()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc3(self.fc2(torch.relu(self.fc1(self.flatten(image)))))
        return logits


class Squashed(nn.Module):
    """A model that gives the hyperbolic tangent of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = torch.tanh(self.model(image))
        return logits


@for_each_format
def test_a_dropped_relu_is_charged_to_what_lies_between(
    spec: FormatSpec, released: Checkpoint, sample: Reference
) -> None:
    report = compare(unjudged(spec, sample, model=WithoutRelu(released.build()).eval()), sample)
    assert diverging(report) == ["relu before fc3"]
    assert report.culprit.startswith("first diverges at relu before fc3: it computes something else (relative error")
    assert [layer.error > ROUNDING_RTOL for layer in report.layers] == [False, False, False, False, True, True]


@for_each_format
def test_what_follows_the_last_layer_is_looked_at(spec: FormatSpec, released: Checkpoint, sample: Reference) -> None:
    report = compare(unjudged(spec, sample, model=Squashed(released.build()).eval()), sample)
    assert diverging(report) == ["nothing of the output"]


def test_the_picture_is_looked_at_before_the_first_layer(exports: Path, sample: Reference) -> None:
    report = compare(altered(exports, catalog.invert_input), sample)
    assert diverging(report) == ["flatten of the input"]


def test_weights_under_other_names_are_identified_by_their_order(exports: Path, sample: Reference) -> None:
    def rename(graph: onnx.ModelProto) -> None:
        for tensor in graph.graph.initializer:
            tensor.name = f"anonymous.{tensor.name}"
        names = {tensor.name.removeprefix("anonymous."): tensor.name for tensor in graph.graph.initializer}
        for node in graph.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = names.get(name, name)

    report = compare(altered(exports, rename), sample)
    assert report
    assert [layer.name for layer in report.layers] == MLP


@for_each_format
@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalization_is_folded_into_a_linear_layer(
    spec: FormatSpec, *, affine: bool, sample: Reference
) -> None:
    torch.manual_seed(0)
    norm = learned(nn.BatchNorm1d(8, affine=affine))
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), norm, nn.ReLU(), nn.Linear(8, 10))
    reference = module_reference(net, sample.images[:20], sample.labels[:20])
    report = compare(unjudged(spec, reference), reference)
    assert report
    assert [layer.weights is not None for layer in report.layers] == [False, True, False, True]


@for_each_format
@pytest.mark.parametrize("rows", [4, 7])  # as many as the layer before has outputs, or another number
def test_normalization_of_rows_is_not_blamed_on_the_layer_before_it(
    spec: FormatSpec, rows: int, sample: Reference
) -> None:
    torch.manual_seed(0)
    unflatten, linear = nn.Unflatten(1, (rows, 784 // rows)), nn.Linear(784 // rows, 4)
    norm, last = learned(nn.BatchNorm1d(rows)), nn.Linear(4 * rows, 10)
    net = nn.Sequential(nn.Flatten(), unflatten, linear, norm, nn.Flatten(), last)
    reference = module_reference(net, sample.images[:20], sample.labels[:20])
    with pytest.raises(ArtifactError, match="not available for this network"):
        compare(unjudged(spec, reference), reference)


IN_PLACE: dict[str, tuple[list[nn.Module], int]] = {
    "activation": ([nn.ReLU(inplace=True), nn.Flatten()], 2_704),
    "view": ([nn.Flatten(), nn.ReLU6(inplace=True)], 2_704),
    "normalization": ([nn.BatchNorm2d(4), nn.LeakyReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten()], 676),
}
"""What overwrites a layer's output, with how many values an image has after it."""


@for_each_format
@pytest.mark.parametrize("name", IN_PLACE)
def test_what_is_done_in_place_after_a_layer_is_not_charged_to_it(
    spec: FormatSpec, name: str, sample: Reference
) -> None:
    torch.manual_seed(0)
    between, values = IN_PLACE[name]
    net = nn.Sequential(nn.Conv2d(1, 4, 3), *between, nn.Linear(values, 10))
    reference = module_reference(net, sample.images[:20], sample.labels[:20])
    report = compare(unjudged(spec, reference), reference)
    assert report
    assert report.layers[0].name == "network.0"
    assert report.layers[0].own <= ROUNDING_RTOL


@for_each_format
@pytest.mark.parametrize("options", [{"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}])
def test_a_padding_of_another_kind_is_not_charged_to_a_convolution(
    spec: FormatSpec, options: dict[str, Any], sample: Reference
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, **options), nn.ReLU(), nn.Flatten(), nn.Linear(1_568, 10))
    reference = module_reference(net, sample.images[:20], sample.labels[:20])
    report = compare(unjudged(spec, reference), reference)
    assert report
    assert [layer.name for layer in report.layers if layer.weights is not None] == ["network.0", "network.3"]


@pytest.mark.slow
def test_a_graph_of_other_layers_is_refused(exports: Path, cnn_reference: Reference) -> None:
    for name in ("mnist-mlp.onnx", "mnist-mlp.pt"):
        with pytest.raises(ArtifactError, match="layers cannot be told"):
            compare(read_artifact(exports / name), cnn_reference)


def test_int8_separates_the_error_of_the_weights_from_that_of_the_arithmetic(
    sample: Reference, released: Checkpoint
) -> None:
    """The weights' part is that of the trained model with the dequantized weights, computed here by other means."""
    artifact = unjudged(ONNX, sample, "dynamic-u8-channel")
    report = compare(artifact, sample, batch=1)
    assert diverging(report) == ["fc1", "fc2", "fc3"]
    for layer in report.layers:
        if layer.weights is not None and layer.arithmetic is not None:
            assert abs(layer.weights - layer.arithmetic) <= layer.own <= layer.weights + layer.arithmetic
            assert 1e-4 < layer.own < 0.05

    graph = onnx.load_from_string(artifact.bundle.data).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    model = released.build()
    with torch.inference_mode():
        for name in ("fc1", "fc2", "fc3"):
            levels = stored[f"{name}.weight_quantized"].astype(np.float32) - stored[f"{name}.weight_zero_point"]
            model.get_parameter(f"{name}.weight").copy_(torch.tensor((levels * stored[f"{name}.weight_scale"]).T))
        eager = torch.from_numpy(sample.logits).double()
        logits = model(torch.from_numpy(sample.images)).double()
    assert report.weights == pytest.approx(float((logits - eager).norm() / eager.norm()), rel=1e-3)


@pytest.mark.parametrize("names", [None, ("absent",)])
def test_no_session_stays_open(
    names: tuple[str, ...] | None, exports: Path, sample: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[Session] = []

    def recorded(module: str, data: bytes) -> Session:
        sessions.append(open_session(module, data))
        return sessions[-1]

    monkeypatch.setattr("mnist_edge.formats.torchscript.inspector.open_session", recorded)
    artifact = read_artifact(exports / "mnist-mlp.pt")
    if names is None:
        compare(artifact, sample)
    else:
        with pytest.raises(ArtifactError):
            artifact.spec.inspector().open_intermediates(artifact.bundle, names)
    with pytest.raises(ArtifactError, match="ended the process"):
        sessions[0].call("operators")


def test_a_quantized_layer_of_torchscript_is_read_too(exported: list[Artifact], sample: Reference) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp-int8.pt"]
    report = compare(read_artifact(artifact.path), sample, batch=1)
    assert report.culprit.startswith("first diverges at fc1: its weights differ")
    assert report.weights is not None
    assert report.arithmetic is not None
    assert 0 < report.arithmetic < report.weights < 0.05


def test_rounded_activations_are_not_charged_to_the_weights(exports: Path, sample: Reference) -> None:
    """A float file whose second layer's input is rounded to eighths has the right weights."""

    def round_input(graph: onnx.ModelProto) -> None:
        eight = onnx.numpy_helper.from_array(np.array(0.125, np.float32), "eighth")
        zero = onnx.numpy_helper.from_array(np.array(0, np.uint8), "zero")
        graph.graph.initializer.extend([eight, zero])
        index = next(i for i, node in enumerate(graph.graph.node) if "fc2.weight" in node.input)
        product = graph.graph.node[index]
        quantize = onnx.helper.make_node("QuantizeLinear", [product.input[0], "eighth", "zero"], ["levels"])
        back = onnx.helper.make_node("DequantizeLinear", ["levels", "eighth", "zero"], ["rounded"])
        product.input[0] = "rounded"
        graph.graph.node.insert(index, back)
        graph.graph.node.insert(index, quantize)

    report = compare(altered(exports, round_input), sample)
    assert diverging(report) == ["relu before fc2"]
    assert report.weights == 0
    assert report.arithmetic == report.layers[-1].error > 1e-3


@pytest.mark.slow
@for_each_format
def test_a_network_of_convolutions_with_folded_normalization(spec: FormatSpec, cnn_reference: Reference) -> None:
    faithful = compare(unjudged(spec, cnn_reference), cnn_reference)
    assert faithful
    assert [layer.name for layer in faithful.layers if layer.weights is not None] == [*CONVOLUTIONS, "fc"]
    model = cnn_reference.checkpoint.build()
    with torch.no_grad():
        model.get_parameter("features.2.1.bias")[5] += 0.05
    report = compare(unjudged(spec, cnn_reference, model=model), cnn_reference)
    assert diverging(report) == ["features.2.0"]
    assert "its weights differ" in report.culprit


@pytest.mark.slow
def test_quantized_convolutions(cnn_reference: Reference) -> None:
    report = compare(unjudged(ONNX, cnn_reference, "dynamic-u8"), cnn_reference, batch=1)
    assert diverging(report) == [*CONVOLUTIONS, "fc"]
    assert all(layer.weights is not None and 0 < layer.weights < 0.05 for layer in report.layers if layer.diverges)
    linear = compare(unjudged(FORMATS["torchscript"], cnn_reference, "dynamic-s8-channel"), cnn_reference, batch=1)
    assert [layer.name for layer in linear.layers if layer.diverges] == ["fc"]  # torch quantizes linear layers only


@pytest.mark.slow
def test_bytes_that_are_floats_again_before_they_are_used_err_by_their_weights_alone(cnn_reference: Reference) -> None:
    report = compare(unjudged(ONNX, cnn_reference, "weight-only-s8-channel"), cnn_reference)
    assert diverging(report) == [*CONVOLUTIONS, "fc"]
    assert report.weights is not None
    assert report.arithmetic is not None
    assert report.arithmetic <= ROUNDING_RTOL < report.weights < 0.05


def test_an_exact_layer_of_zeros_has_no_error(sample: Reference) -> None:
    """A ReLU that lets nothing through gives zeros."""
    torch.manual_seed(0)
    first = nn.Linear(784, 8)
    nn.init.constant_(first.weight, -1)
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(8, 10))
    reference = module_reference(net, sample.images[:20], sample.labels[:20])
    report = compare(unjudged(ONNX, reference), reference)
    assert report
    zeros = report.layers[2]
    assert (zeros.name, zeros.error, zeros.own) == ("relu before network.3", 0, 0)


def test_what_is_handed_down_is_not_charged_again(exports: Path, sample: Reference) -> None:
    report = compare(altered(exports, edits.not_a_number), sample)
    assert diverging(report) == ["fc3"]
    written = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert written["layers"][-1]["max_abs_diff"] is None
    assert written["culprit"] == report.culprit


def test_a_format_that_does_not_show_its_layers_says_so(exports: Path, sample: Reference) -> None:
    artifact = read_artifact(exports / "mnist-mlp.onnx")
    hidden = dataclasses.replace(artifact, spec=dataclasses.replace(ONNX, intermediates=False))
    with pytest.raises(ArtifactError, match="onnx does not show the values between layers"):
        compare(hidden, sample)
    for spec in (spec for spec in FORMATS.values() if spec.readable_weights):
        assert spec.intermediates == hasattr(spec.inspector(), "open_intermediates")


def chain() -> nn.Sequential:
    """Return a small chain in `eval()`, for images of two by two pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def showing(model: nn.Sequential, change: Callable[[str, AnyArray], AnyArray]) -> ArtifactFile:
    """Return an artifact that holds `chain()`, and shows what it computes at each layer, changed by its name."""
    named = {name: module for name, module in model.named_children() if isinstance(module, nn.Linear)}

    def run(images: Images) -> tuple[dict[str, LayerIO], Logits]:
        value, seen = torch.from_numpy(images), {}
        with torch.inference_mode():
            for name, module in model.named_children():
                before, value = value, module(value)
                if name in named:
                    value = torch.from_numpy(change(name, value.numpy().copy()))
                    seen[name] = LayerIO(before.numpy(), value.numpy())
        return seen, value.numpy()

    weights = {name: (each.weight.detach().numpy(), each.bias.detach().numpy()) for name, each in named.items()}
    inspector = SimpleNamespace(open_intermediates=lambda *_: Intermediates(run, weights))
    spec = SimpleNamespace(name="stub", intermediates=True, inspector=lambda: inspector)
    return cast("ArtifactFile", SimpleNamespace(spec=spec, bundle=None))


FEW = np.random.default_rng(0).random((30, 1, 2, 2)).astype(np.float32)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("part", "diverges"), [(0.8, False), (1.3, True)])
@pytest.mark.parametrize("layer", ["1", "3"])
def test_one_value_of_one_image_that_rounding_does_not_explain_diverges(
    layer: str, part: float, diverges: bool, sign: int
) -> None:
    """By more than a part of the largest value of its layer; also in the last batch, which is a smaller one."""

    def change(name: str, values: AnyArray) -> AnyArray:
        if name == layer and len(values) == 2:
            values[1, 2] += sign * part * ROUNDING_RTOL * largest[name]
        return values

    exact = showing(chain(), lambda _, values: values)
    outputs, _ = exact.spec.inspector().open_intermediates(exact.bundle, ("1", "3")).run(FEW)
    largest = {name: float(np.abs(each.output).max()) for name, each in outputs.items()}
    report = compare_layers(showing(chain(), change), chain(), FEW, 7)
    assert diverging(report) == ([layer] if diverges else [])
    assert bool(report) is not diverges


def test_logits_of_another_size_are_an_error() -> None:
    def less(name: str, values: AnyArray) -> AnyArray:
        return values[:, :2] if name == "3" else values

    with pytest.raises(ArtifactError, match=r"it computes \[30, 2\] where the trained model has \[30, 3\]"):
        compare_layers(showing(chain(), less), chain(), FEW, 7)


@pytest.mark.parametrize(
    "hook", [lambda _, __, logits: 1.01 * logits, lambda _, __, logits: logits[None]], ids=["factor", "shape"]
)
def test_a_chain_that_does_not_give_what_the_model_gives_is_not_available(
    hook: Callable[[nn.Module, object, torch.Tensor], torch.Tensor],
) -> None:
    """Tracing does not see what a hook does."""
    model = chain()
    model.register_forward_hook(hook)
    with pytest.raises(ArtifactError, match="whose layers one by one do not give what it gives"):
        compare_layers(showing(chain(), lambda _, values: values), model, FEW, 7)


def test_the_first_layer_that_diverges_is_named_and_the_one_with_the_largest_error_of_its_own() -> None:
    def layer(name: str, own: float, error: float, weights: float, *, diverges: bool = True) -> LayerDivergence:
        return LayerDivergence(name, 1.0, error, own, weights, own - weights, diverges)

    layers = (
        layer("a", 0.9, 0.9, 0.1, diverges=False),
        layer("b", 0.02, 0.02, 0.015),
        layer("c", 0.3, 0.3, 0.1),
        layer("d", 0.1, 0.4, 0.1),
    )
    report = LayerwiseReport(30, layers, 0.1, 0.1)
    assert not report
    assert report.culprit == (
        "first diverges at b: its weights differ (relative error 0.02; weights 0.015, arithmetic 0.005); the largest "
        "error of its own is made at c: it computes something else with its weights (relative error 0.3; weights 0.1, "
        "arithmetic 0.2)"
    )
    assert LayerwiseReport(30, layers[:1], 0.1, 0.1)


def test_weights_of_another_shape_do_not_fit(released: Checkpoint, sample: Reference) -> None:
    model = released.build()
    assert isinstance(model.fc2, nn.Linear)
    assert isinstance(model.fc3, nn.Linear)
    model.fc2 = nn.Linear(128, 65)
    model.fc3 = nn.Linear(65, 10)
    with pytest.raises(ArtifactError, match=r"the weight of fc2 is of shape \[65, 128\], the trained model's of"):
        compare(unjudged(ONNX, sample, model=model.eval()), sample)
