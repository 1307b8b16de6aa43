"""Ways to break a model or an exported file, for tests that must find them."""

import dataclasses
import json
from collections.abc import Callable, Sequence

import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from mnist_edge.formats.base import Format
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.formats.torchscript.exporter import TORCHSCRIPT
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.test_vectors import GOLDEN_KEY, Golden
from mnist_edge.artifact.checksum import SEAL_KEY, UNSEALED, seal

Edit = Callable[[onnx.ModelProto], None]


def sabotaged(format: Format, prepare: Callable[[nn.Module], nn.Module], spoil: Callable[[bytes], bytes]) -> Format:
    """Return the format with an export that changes the model before and the bytes after."""

    def export(model: nn.Module, contracts: Sequence[Contract], golden: Golden) -> list[bytes]:
        return [spoil(data) for data in format.export(prepare(model), contracts, golden)]

    return dataclasses.replace(format, export=export)


def same_model(model: nn.Module) -> nn.Module:
    return model


def same_bytes(data: bytes) -> bytes:
    return data


def with_a_perturbed_weight(format: Format) -> Format:
    def perturb(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            model.get_parameter("fc2.weight")[3, 5] += 0.05
        return model

    return sabotaged(format, perturb, same_bytes)


def with_another_opset() -> Format:
    return sabotaged(ONNX, same_model, lambda data: edited(data, set_opset))


def with_a_frozen_batch(format: Format) -> Format:
    class Frozen(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.model(image.reshape(2, 1, 28, 28))
            return logits

    if format is TORCHSCRIPT:
        return sabotaged(format, lambda model: Frozen(model).eval(), same_bytes)
    return sabotaged(format, same_model, lambda data: edited(data, freeze_batch))


def with_saturating_weights() -> Format:
    """onnxruntime's own default, `QInt8`, as the only way to quantise."""
    return dataclasses.replace(ONNX, schemes=("dynamic-s8",))


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


def drop_golden(graph: onnx.ModelProto) -> None:
    kept = [entry for entry in graph.metadata_props if entry.key != GOLDEN_KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
