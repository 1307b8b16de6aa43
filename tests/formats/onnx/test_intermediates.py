"""Layers are told apart whatever way a file was quantized."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.layerwise import compare_layers
from mnist_edge.parity.reference import Reference
from mnist_edge.types import Images
from tests.parity.unjudged import unjudged

ONNX = FORMATS["onnx"]
LAYERS = {"mlp": ["fc1", "fc2", "fc3"], "cnn": [*(f"features.{number}.0" for number in range(7)), "fc"]}


class Some(CalibrationDataReader):  # type: ignore[misc]
    """A hundred test images to calibrate on."""

    def __init__(self, images: Images) -> None:
        self.images = iter([{"image": images[:100]}])

    def get_next(self) -> dict[str, Images] | None:
        return next(self.images, None)


def dynamic(source: Path, target: Path, _: Images) -> None:
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8)


def by_channel(source: Path, target: Path, _: Images) -> None:
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def static(source: Path, target: Path, images: Images) -> None:
    quantize_static(source, target, Some(images), quant_format=QuantFormat.QDQ, reduce_range=True)


def weights_only(source: Path, target: Path, _: Images) -> None:
    """Store each weight as int8 with a scale for each output, and dequantize it in the graph."""
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
        dequantize = onnx.helper.make_node("DequantizeLinear", [name, f"{name}_scale"], [tensor.name], axis=0)
        model.graph.node.insert(0, dequantize)
    onnx.save(model, target)


@pytest.fixture(scope="module", params=LAYERS)
def trained(request: pytest.FixtureRequest, reference: Reference, cnn_reference: Reference) -> Reference:
    chosen = reference if request.param == "mlp" else cnn_reference
    return chosen.sample().part(np.arange(100))


@pytest.fixture(scope="module")
def floating(trained: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("floating") / "fp32.onnx"
    path.write_bytes(unjudged(ONNX, trained).bundle.data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [dynamic, by_channel, static, weights_only])
def test_the_weights_and_the_rest_are_separated(
    quantize: Callable[[Path, Path, Images], None], trained: Reference, floating: Path, tmp_path: Path
) -> None:
    architecture = trained.checkpoint.architecture
    target = tmp_path / "int8.onnx"
    quantize(floating, target, trained.images)
    artifact = ArtifactFile(target, ONNX, Bundle.of_file(target.read_bytes()))
    report = compare_layers(artifact, trained.checkpoint.build(), trained.images, batch=1)
    layers = [layer for layer in report.layers if layer.name in LAYERS[architecture]]
    assert [layer.name for layer in layers if layer.diverges] == LAYERS[architecture]
    assert report.weights is not None
    assert report.arithmetic is not None
    for layer in layers:
        assert layer.weights is not None
        assert layer.arithmetic is not None
        assert 1e-4 < layer.weights < 0.05
        assert layer.arithmetic < (1e-5 if quantize in (static, weights_only) else 0.05)
    rounded = {layer.name for layer in report.layers if layer.diverges and layer not in layers}
    activations = {layer.name for layer in report.layers if layer.name.startswith("relu")}
    assert activations <= rounded if quantize is static else not rounded
    assert 1e-3 < report.arithmetic < 0.1 if quantize is not weights_only else report.arithmetic < 1e-5
