"""The values between the layers of a TorchScript module: its graph, with those values as further outputs.

Forward hooks do not reach into a loaded module, whose calls are inlined; its graph can be given more outputs before it
is run for the first time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mnist_edge.formats.base import ArtefactError, Inside, LayerValues

Value = Any
"""`torch._C.Value`: torch's graph bindings have no annotations."""

Array = NDArray[np.float32]

_CONVOLUTIONS = {"aten::_convolution", "aten::conv2d"}
_PRODUCTS = {"aten::linear", "quantized::linear_dynamic", *_CONVOLUTIONS}


@dataclass(frozen=True)
class _Layer:
    """Where a layer is in the graph.

    Attributes:
        given: its input.
        result: its output before the activation.
        weight: its weight, a tensor or packed.
        bias: its bias, None where it is packed or there is none.
        norm: weight, bias, mean and variance of the batch normalisation that follows, or empty.
        epsilon: of that normalisation.
    """

    given: Value
    result: Value
    weight: Value
    bias: Value | None
    norm: tuple[Value, ...]
    epsilon: float


def layers_of(module: torch.jit.ScriptModule, names: tuple[str, ...]) -> Inside:
    """Open a module that was loaded but not run yet so that the layers of these names can be seen.

    Raises:
        ArtefactError: its layers can't be told.
    """
    graph = module.graph
    torch._C._jit_pass_inline(graph)
    products = [node for node in graph.nodes() if node.kind() in _PRODUCTS]
    by_name = {".".join(_attribute_path(_operand(node, 1))): node for node in products}
    named = {name: node for name in names for path, node in by_name.items() if path.startswith(f"{name}.")}
    if len(named) != len(names) and len(products) != len(names):
        raise ArtefactError(f"its layers cannot be told: {len(products)} products for {', '.join(names)}")
    chosen = named if len(named) == len(names) else dict(zip(names, products, strict=True))
    layers = {name: _layer(node) for name, node in chosen.items()}
    packed = {name: _packed(module, layer.weight) for name, layer in layers.items() if _is_packed(layer.weight)}
    shown = _show(graph, layers)

    def run(images: Array) -> tuple[dict[str, LayerValues], Array]:
        try:
            with torch.inference_mode():
                outputs = module(torch.from_numpy(images))
        except RuntimeError as error:
            raise ArtefactError(f"torch cannot run a batch of {len(images)} ({str(error).splitlines()[-1]})") from error
        seen = dict(zip(shown, outputs[1:], strict=True))
        values = {name: LayerValues(seen[name, "given"].numpy(), seen[name, "result"].numpy()) for name in layers}
        return values, outputs[0].numpy()

    with torch.inference_mode():
        constants = dict(zip(shown, module(torch.zeros(1, 1, 28, 28))[1:], strict=True))
    return Inside(run, {name: packed.get(name) or _weights(name, layer, constants) for name, layer in layers.items()})


def _layer(node: Value) -> _Layer:
    result, norm, epsilon = node.output(), (), 0.0
    while len(uses := result.uses()) == 1 and uses[0].user.kind() in ("aten::to", "aten::batch_norm"):
        user = uses[0].user
        if user.kind() == "aten::batch_norm":
            norm = tuple(_operand(user, index) for index in range(1, 5))
            epsilon = _operand(user, 7).toIValue()
        result = user.output()
    has_bias = not _is_packed(_operand(node, 1)) and _is_tensor(_operand(node, 2))
    bias = _operand(node, 2) if has_bias else None
    return _Layer(_operand(node, 0), result, _operand(node, 1), bias, norm, epsilon)


def _show(graph: Value, layers: dict[str, _Layer]) -> list[tuple[str, str]]:
    """Let the graph return a tuple: its logits, and what it computes and multiplies by in each layer; name the rest."""
    wanted = {
        (name, part): value
        for name, layer in layers.items()
        for part, value in (
            ("given", layer.given),
            ("result", layer.result),
            ("weight", layer.weight),
            ("bias", layer.bias),
            *((f"norm {index}", value) for index, value in enumerate(layer.norm)),
        )
        if value is not None and _is_tensor(value)
    }
    (logits,) = graph.outputs()
    values = [logits, *wanted.values()]
    together = graph.create("prim::TupleConstruct", values, 1)
    graph.appendNode(together)
    together.output().setType(torch._C.TupleType([value.type() for value in values]))
    graph.eraseOutput(0)
    graph.registerOutput(together.output())
    return list(wanted)


def _weights(name: str, layer: _Layer, constants: dict[tuple[str, str], Tensor]) -> tuple[Array, Array]:
    """Return a float layer's weight and bias, with batch normalisation folded in."""
    weight, bias = constants[name, "weight"], constants.get((name, "bias"))
    if layer.norm:
        scale, shift, mean, variance = (constants[name, f"norm {index}"] for index in range(4))
        weight, bias = fuse_conv_bn_weights(weight, bias, mean, variance, layer.epsilon, scale, shift)
    return weight.detach().numpy(), (torch.zeros(len(weight)) if bias is None else bias).detach().numpy()


def _packed(module: torch.jit.ScriptModule, value: Value) -> tuple[Array, Array]:
    """Return a quantised layer's weight, dequantised, and bias."""
    holder: Any = module
    for name in _attribute_path(value):
        holder = getattr(holder, name)
    weight, bias = holder.unpack()
    return weight.dequantize().numpy(), (torch.zeros(len(weight)) if bias is None else bias).detach().numpy()


def _attribute_path(value: Value) -> list[str]:
    """Return the names of the attributes that lead from the module to a value, none for one that is computed."""
    if value.node().kind() != "prim::GetAttr":
        return []
    return [*_attribute_path(_operand(value.node(), 0)), value.node().s("name")]


def _operand(node: Value, index: int) -> Value:
    return list(node.inputs())[index]


def _is_tensor(value: Value) -> bool:
    return bool(value.type().kind() == "TensorType")


def _is_packed(value: Value) -> bool:
    return not _is_tensor(value)
