"""Ways to change an ONNX file, and to make an exporter give a wrong one, for tests that must find them."""

import json
from collections.abc import Callable
from typing import Any

import onnx
import onnx.helper
import onnx.numpy_helper
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.formats.base import FormatSpec
from mnist_edge.types import AnyArray

Edit = Callable[[onnx.ModelProto], None]
"""Changes a model in place."""


def tampered(data: bytes, edit: Edit) -> bytes:
    """Return an ONNX file after an edit, with a new checksum, as someone would leave it who hides the edit."""
    return Bundle.of_file(edited(data, edit)).with_checksum().data


def edited(data: bytes, edit: Edit) -> bytes:
    """Return an ONNX file after an edit, with a place for a checksum."""
    model = onnx.ModelProto.FromString(data)
    edit(model)
    for entry in model.metadata_props:
        if entry.key == CHECKSUM_KEY:
            entry.value = CHECKSUM_PLACEHOLDER
    return bytes(model.SerializeToString(deterministic=True))


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
    return found[name]


def node(model: onnx.ModelProto, operator: str, number: int = 0) -> onnx.NodeProto:
    found: list[onnx.NodeProto] = [node for node in model.graph.node if node.op_type == operator]
    return found[number]


def add_constant(model: onnx.ModelProto, name: str, value: AnyArray) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))


def change(name: str, alter: Callable[[AnyArray], AnyArray]) -> Edit:
    """Return the edit that puts other numbers into a tensor."""

    def edit(model: onnx.ModelProto) -> None:
        found = tensor(model, name)
        values = onnx.numpy_helper.to_array(found)
        found.CopyFrom(onnx.numpy_helper.from_array(alter(values.copy()).astype(values.dtype), name))

    return edit


def insert_after(model: onnx.ModelProto, name: str, operator: str, *inputs: str, **attributes: Any) -> None:  # noqa: ANN401
    """Put an operator between a tensor and everything that uses it; `inputs` are its further inputs."""
    result = f"{name}_after_{operator}"
    users = [place for place, user in enumerate(model.graph.node) if name in user.input]
    for place in users:
        user = model.graph.node[place]
        user.input[:] = [result if given == name else given for given in user.input]
    added = onnx.helper.make_node(operator, [name, *inputs], [result], **attributes)
    model.graph.node.insert(users[0], added)


def replace_operator(operator: str, number: int, by: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        node(model, operator, number).op_type = by

    return edit


drop_relu = replace_operator("Relu", 0, "Identity")


def change_weight(model: onnx.ModelProto) -> None:
    def alter(weights: AnyArray) -> AnyArray:
        weights[0, 14 * 28 + 14] += 0.1
        return weights

    change("fc1.weight", alter)(model)


def not_a_number(model: onnx.ModelProto) -> None:
    def alter(bias: AnyArray) -> AnyArray:
        bias[3] = float("nan")
        return bias

    change("fc3.bias", alter)(model)


def set_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 19


def freeze_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def edit_metadata(key: str, alter: Callable[[dict[str, Any]], object]) -> Edit:
    """Return the edit that changes an object of JSON that the file carries."""

    def edit(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == key:
                fields = json.loads(entry.value)
                alter(fields)
                entry.value = json.dumps(fields, sort_keys=True)

    return edit


def drop_metadata(key: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        kept = [entry for entry in model.metadata_props if entry.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)

    return edit


def set_contract(path: str, value: object) -> Edit:
    """Return the edit that sets a field of the contract; a dot leads into a nested object."""

    def alter(fields: dict[str, Any]) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            fields = fields[parent]
        fields[name] = value

    return edit_metadata(CONTRACT_KEY, alter)


def set_test_vectors(**fields: object) -> Edit:
    """Return the edit that sets fields of the test vectors."""
    return edit_metadata(TEST_VECTORS_KEY, lambda found: found.update(fields))


def sabotage(
    patch: pytest.MonkeyPatch,
    spec: FormatSpec,
    *,
    prepare: Callable[[nn.Module], nn.Module] = lambda model: model,
    spoil: Edit | None = None,
) -> None:
    """Let a format's exporter change the model before it exports it, or the ONNX file after."""
    exporter = spec.exporter()
    honest = exporter.export

    def export(model: nn.Module, requests: Any) -> list[Bundle]:  # noqa: ANN401 - as `Exporter` has it
        bundles = honest(prepare(model), requests)
        return bundles if spoil is None else [Bundle.of_file(edited(bundle.data, spoil)) for bundle in bundles]

    patch.setattr(exporter, "export", export)


def perturb_a_weight(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model.get_parameter("fc2.weight")[3, 5] += 0.05
    return model


class FrozenBatch(nn.Module):
    """A model that takes two images only."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image.reshape(2, 1, 28, 28))
        return logits
