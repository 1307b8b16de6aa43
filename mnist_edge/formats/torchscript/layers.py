"""The values between the layers of a TorchScript module: its graph, with those values as further outputs.

Forward hooks do not reach into a loaded module, whose calls are inlined; its graph can be given more outputs before it
is run for the first time.
"""

from dataclasses import dataclass
from typing import Any

import torch

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.types import AnyArray, Images

Value = Any
"""`torch._C.Value`: torch's graph bindings have no annotations."""

_PRODUCTS = {
    *("aten::linear", "quantized::linear_dynamic", "aten::_convolution", "aten::_convolution_mode", "aten::conv2d"),
}
"""Operators that multiply by weights."""


@dataclass(frozen=True)
class _Layer:
    """Where a layer is in the graph.

    Attributes:
        product: the operator that multiplies by the weights.
        input: of the layer.
        output: before the activation.
        weight: its weight, a tensor or packed.
        bias: its bias, None where it is packed or there is none.
        norm: weight, bias, mean and variance of the batch normalization that follows, or empty.
        epsilon: of that normalization.
    """

    product: Value
    input: Value
    output: Value
    weight: Value
    bias: Value | None
    norm: tuple[Value, ...]
    epsilon: float


class Probe:
    """A module that gives the input and the output of each of its layers beside the logits.

    Attributes:
        stored: for each layer, where its `weight`, `bias` and normalization (`norm`, of which there are four, and
            `epsilon`) are stored in the module; empty names stand for what it has not.
    """

    def __init__(self, module: torch.jit.ScriptModule, names: tuple[str, ...]) -> None:
        """Change the graph of a module that was loaded but not run yet; raises `ArtifactError` as `_products` does."""
        graph = module.graph
        torch._C._jit_pass_inline(graph)
        layers = {name: _layer(node) for name, node in _products(graph, names).items()}
        self.stored = {name: _stored(layer) for name, layer in layers.items()}
        self._shown = _show(graph, layers)
        self._module = module

    def run(self, images: Images) -> dict[str, AnyArray]:
        """Return `logits`, and `NAME input` and `NAME output` for each layer.

        Raises:
            ArtifactError: the module does not take the batch.
        """
        try:
            with torch.inference_mode():
                logits, *values = self._module(torch.from_numpy(images.copy()))
        except RuntimeError as error:
            raise ArtifactError(f"torch cannot run a batch of {len(images)} ({one_line(error)})") from error
        return {"logits": logits.numpy()} | {
            f"{name} {part}": value.numpy() for (name, part), value in zip(self._shown, values, strict=True)
        }


def _products(graph: Value, names: tuple[str, ...]) -> dict[str, Value]:
    """Return the product of each layer: the one by its weight's name, or else all of them in order."""
    products = [node for node in graph.nodes() if node.kind() in _PRODUCTS]
    by_path = {".".join(_attribute_path(_operand(node, 1))): node for node in products}
    named = {name: node for name in names for path, node in by_path.items() if path.startswith(f"{name}.")}
    if len(named) == len(names):
        return named
    if len(products) != len(names):
        raise ArtifactError(f"its layers cannot be told apart: {len(products)} products for {', '.join(names)}")
    return dict(zip(names, products, strict=True))


def _layer(node: Value) -> _Layer:
    output, norm, epsilon = node.output(), (), 0.0
    while len(uses := output.uses()) == 1 and uses[0].user.kind() in ("aten::to", "aten::batch_norm"):
        user = uses[0].user
        if user.kind() == "aten::batch_norm":
            norm = tuple(_operand(user, index) for index in range(1, 5))
            epsilon = _operand(user, 7).toIValue()
        output = user.output()
    has_bias = _is_tensor(_operand(node, 1)) and _is_tensor(_operand(node, 2))
    bias = _operand(node, 2) if has_bias else None
    return _Layer(node, _operand(node, 0), output, _operand(node, 1), bias, norm, epsilon)


def _show(graph: Value, layers: dict[str, _Layer]) -> list[tuple[str, str]]:
    """Let the graph return a tuple: its logits, and the input and output of each layer; return what these are.

    Each is copied where it is made or used: what follows may be done in place, and would overwrite it.
    """
    (logits,) = graph.outputs()
    nothing = graph.insertConstant(None)
    nothing.node().moveBefore(next(iter(graph.nodes())))

    def copy_of(value: Value) -> Value:
        copy = graph.create("aten::clone", [value, nothing], 1)
        copy.output().setType(value.type())
        return copy

    wanted = {
        (name, part): copy.output()
        for name, layer in layers.items()
        for part, copy in (
            ("input", copy_of(layer.input).insertBefore(layer.product)),
            ("output", copy_of(layer.output).insertAfter(layer.output.node())),
        )
    }
    values = [logits, *wanted.values()]
    together = graph.create("prim::TupleConstruct", values, 1)
    graph.appendNode(together)
    together.output().setType(torch._C.TupleType([value.type() for value in values]))
    graph.eraseOutput(0)
    graph.registerOutput(together.output())
    return list(wanted)


def _stored(layer: _Layer) -> dict[str, Any]:
    """Return where a layer's weights are stored."""
    weight = ".".join(_attribute_path(layer.weight))
    if not _is_tensor(layer.weight):
        weight = weight.removesuffix("._packed_params").removesuffix("._packed_params") + ".weight"
    bias = ".".join(_attribute_path(layer.bias)) if layer.bias else weight.removesuffix("weight") + "bias"
    norm = [".".join(_attribute_path(value)) for value in layer.norm]
    return {"weight": weight, "bias": bias, "norm": norm, "epsilon": layer.epsilon}


def _attribute_path(value: Value) -> list[str]:
    """Return the names of the attributes that lead from the module to a value, none for one that is computed."""
    if value.node().kind() != "prim::GetAttr":
        return []
    return [*_attribute_path(_operand(value.node(), 0)), value.node().s("name")]


def _operand(node: Value, index: int) -> Value:
    return list(node.inputs())[index]


def _is_tensor(value: Value) -> bool:
    return bool(value.type().kind() == "TensorType")
