"""Layers are told whatever way a file was quantised."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from mnist_edge.parity.layerwise import examine_layers
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference, make_reference
from mnist_edge.parity.checks import sample_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets.mnist import Split, TrainingData
from tests.conftest import RELEASES

LAYERS = {"mlp": ["fc1", "fc2", "fc3"], "cnn": [*(f"features.{number}.0" for number in range(4)), "fc"]}


class Some(CalibrationDataReader):  # type: ignore[misc]
    """A hundred test images to calibrate on."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.images = iter([{"image": images[:100]}])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self.images, None)


def dynamic(source: Path, target: Path, _: NDArray[np.float32]) -> None:
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8)


def by_channel(source: Path, target: Path, _: NDArray[np.float32]) -> None:
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def static(source: Path, target: Path, images: NDArray[np.float32]) -> None:
    quantize_static(source, target, Some(images), quant_format=QuantFormat.QDQ, reduce_range=True)


def weights_only(source: Path, target: Path, _: NDArray[np.float32]) -> None:
    """Store each weight as int8 with a scale for each output, and dequantise it in the graph."""
    model = onnx.load(source)
    for node in list(model.graph.node):
        if node.op_type not in ("Gemm", "Conv"):
            continue
        (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == node.input[1]]
        weight = onnx.numpy_helper.to_array(tensor)
        scale = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127
        levels = np.round(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
        name = f"{tensor.name}_levels"
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(onnx.numpy_helper.from_array(levels, name))
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        dequantise = onnx.helper.make_node("DequantizeLinear", [name, f"{name}_scale"], [tensor.name], axis=0)
        model.graph.node.insert(0, dequantise)
    onnx.save(model, target)


@pytest.fixture(scope="module", params=LAYERS)
def trained(request: pytest.FixtureRequest, test_data: Split, training_data: TrainingData) -> Reference:
    reference = make_reference(load_checkpoint(RELEASES[request.param]), test_data, training_data)
    return sample_of(reference).part(np.arange(100))


@pytest.mark.parametrize("quantise", [dynamic, by_channel, static, weights_only])
def test_the_weights_and_the_rest_are_parted(
    quantise: Callable[[Path, Path, NDArray[np.float32]], None], trained: Reference, tmp_path: Path
) -> None:
    architecture = trained.checkpoint.architecture
    source, target = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    contract = Contract("0" * 64, architecture, "fp32", 18, {})
    source.write_bytes(ONNX.export(trained.checkpoint.build(), [contract], trained.golden)[0])
    quantise(source, target, trained.images)
    report = examine_layers(target, trained.checkpoint.build(), trained.images, batch=1)
    assert report is not None
    layers = [step for step in report.steps if step.name in LAYERS[architecture]]
    assert [step.name for step in layers if step.departs] == LAYERS[architecture]
    assert report.weights is not None
    assert report.arithmetic is not None
    for step in layers:
        assert step.weights is not None
        assert step.arithmetic is not None
        assert 1e-4 < step.weights < 0.05
        assert step.arithmetic < (1e-5 if quantise in (static, weights_only) else 0.05)
    rounded = {step.name for step in report.steps if step.departs and step not in layers}
    activations = {step.name for step in report.steps if step.name.startswith("relu")}
    assert activations <= rounded if quantise is static else not rounded
    assert 1e-3 < report.arithmetic < 0.1 if quantise is not weights_only else report.arithmetic < 1e-5
