"""Ways to break a model or an exported file, for tests that must find them."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.numpy_helper
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from mnist_edge.export.format import Format
from mnist_edge.export.onnx_format import ONNX
from mnist_edge.export.torchscript_format import TORCHSCRIPT
from mnist_edge.runtime.contract import CONTRACT_KEY, Contract
from mnist_edge.runtime.seal import SEAL_KEY, UNSEALED, seal

Edit = Callable[[onnx.ModelProto], None]


def sabotaged(format: Format, sabotage: Callable[[nn.Module, Contract], bytes]) -> Format:
    """Return the format with another way to export."""
    return dataclasses.replace(format, export=sabotage)


def with_a_perturbed_weight(format: Format) -> Format:
    def export(model: nn.Module, contract: Contract) -> bytes:
        with torch.no_grad():
            model.get_parameter("fc2.weight")[3, 5] += 0.05
        return format.export(model, contract)

    return sabotaged(format, export)


def with_another_opset() -> Format:
    return sabotaged(ONNX, lambda model, contract: edited(ONNX.export(model, contract), set_opset))


def with_a_frozen_batch(format: Format) -> Format:
    class Frozen(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.model(image.reshape(2, 1, 28, 28))
            return logits

    def export(model: nn.Module, contract: Contract) -> bytes:
        if format is TORCHSCRIPT:
            return format.export(Frozen(model).eval(), contract)
        return edited(format.export(model, contract), freeze_batch)

    return sabotaged(format, export)


def with_saturating_weights(folder: Path) -> Format:
    """onnxruntime's own default, `QInt8`."""

    def export(model: nn.Module, contract: Contract) -> bytes:
        floating = ONNX.export(model, dataclasses.replace(contract, precision="fp32"))
        quantize_dynamic(onnx.ModelProto.FromString(floating), folder / "q.onnx", weight_type=QuantType.QInt8)
        return edited((folder / "q.onnx").read_bytes(), set_contract(precision="int8"))

    return sabotaged(ONNX, export)


def edited(data: bytes, edit: Edit) -> bytes:
    """Return an ONNX file after `edit`, with a place for a seal."""
    graph = onnx.ModelProto.FromString(data)
    edit(graph)
    for entry in graph.metadata_props:
        if entry.key == SEAL_KEY:
            entry.value = UNSEALED
    return bytes(graph.SerializeToString(deterministic=True))


def resealed(data: bytes, edit: Edit) -> bytes:
    """Return an ONNX file after `edit`, sealed anew as a forger would."""
    return seal(edited(data, edit))


def set_opset(graph: onnx.ModelProto) -> None:
    graph.opset_import[0].version = 19


def freeze_batch(graph: onnx.ModelProto) -> None:
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1


def drop_relu(graph: onnx.ModelProto) -> None:
    relu = next(node for node in graph.graph.node if node.op_type == "Relu")
    relu.op_type = "Identity"


def change_weight(graph: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "fc1.weight")
    weights = onnx.numpy_helper.to_array(tensor).copy()
    weights[0, 14 * 28 + 14] += 0.1
    tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))


def infinite_bias(graph: onnx.ModelProto) -> None:
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "fc3.bias")
    bias = onnx.numpy_helper.to_array(tensor).copy()
    bias[3] = float("nan")
    tensor.CopyFrom(onnx.numpy_helper.from_array(bias, tensor.name))


def set_contract(**fields: object) -> Edit:
    """Return the edit that sets fields of the contract."""

    def edit(graph: onnx.ModelProto) -> None:
        for entry in graph.metadata_props:
            if entry.key == CONTRACT_KEY:
                entry.value = json.dumps({**json.loads(entry.value), **fields}, sort_keys=True)

    return edit


def drop_contract(graph: onnx.ModelProto) -> None:
    kept = [entry for entry in graph.metadata_props if entry.key != CONTRACT_KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
