"""A trained model as a chain of parts: its layers with weights, and what is done between them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mnist_edge.outside import is_from_outside


@dataclass(frozen=True)
class Layer:
    """A part of the trained model.

    Attributes:
        name: of the layer; or of what is done between two layers, and before which.
        run: its input → its output.
        module: the module with its weights, batch normalization folded in, or None between layers.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    module: nn.Module | None = None


@dataclass(frozen=True)
class _Operation:
    """What is done between layers: what it is called, and its input → its output."""

    name: str
    run: Callable[[Tensor], Tensor]


def trace_layers(model: nn.Module) -> list[Layer] | None:
    """Return a model as a chain: what lies before each layer with weights, the layer, …, what lies after the last.

    None where the model is not a chain of modules and functions of one value: a value is used twice, or the flow of
    control depends on the data, so that `torch.fx` can't trace it; or where batch normalization right after a layer
    can't be part of it.
    """
    graph = trace(model)
    if graph is None or not _is_chain(graph):
        return None
    modules = dict(graph.named_modules())
    layers: list[Layer] = []
    between: list[_Operation] = []
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, nn.Linear | nn.Conv2d):
            if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
                between.append(_padding(module))
                module = _unpadded(module)
            layers.append(_between(between, f"before {node.target}" if layers else "of the input"))
            layers.append(Layer(str(node.target), module, module))
            between = []
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and layers and not between:
            fused = _normalized(layers[-1].module, module)
            if fused is None:
                return None
            layers[-1] = Layer(layers[-1].name, fused, fused)
        elif node.op not in ("placeholder", "output"):
            between.append(_operation(node, modules))
    return [*layers, _between(between, "of the output")]


def trace(model: nn.Module) -> fx.GraphModule | None:
    """Return a model as `torch.fx` traces it, or None where it can't."""
    try:
        return fx.symbolic_trace(model)
    except Exception as error:  # the network's own code is given what is not a tensor
        if is_from_outside(error):
            raise
        return None


def unchanged(value: Tensor) -> Tensor:
    """Return the value: the part between two layers that follow each other at once."""
    return value


def _is_chain(graph: fx.GraphModule) -> bool:
    """Say whether each operation has one value, which nothing else uses, and beside it named arguments at most."""
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            continue
        if len(node.all_input_nodes) != 1 or len(node.all_input_nodes[0].users) != 1:
            return False
        value_alone = node.args == tuple(node.all_input_nodes) and not _names_a_value(node)
        operation = node.op == "call_module" or (node.op == "call_function" and callable(node.target))
        if node.op != "output" and not (operation and value_alone):
            return False
    return True


def _normalized(layer: nn.Module | None, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module | None:
    """Return a layer with the batch normalization after it folded in, or None where they do not fit."""
    channels = layer.get_parameter("weight").shape[0] if layer else None
    if norm.running_mean is None or norm.running_var is None or channels != norm.num_features:
        return None
    fused = copy.deepcopy(layer)
    assert isinstance(fused, nn.Linear | nn.Conv2d), "only these are layers with weights"
    fused.weight, fused.bias = fuse_conv_bn_weights(  # of a linear layer they are folded alike
        fused.weight, fused.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return fused


def _names_a_value(node: fx.Node) -> bool:
    """Say whether a value is among an operation's named arguments."""
    found: list[fx.Node] = []
    fx.node.map_arg(node.kwargs, found.append)
    return bool(found)


def _between(operations: list[_Operation], where: str) -> Layer:
    def run(value: Tensor) -> Tensor:
        value = value.clone()  # an operation may be done in place
        for operation in operations:
            value = operation.run(value)
        return value

    if not operations:
        return Layer(f"nothing {where}", unchanged)
    return Layer(f"{' and '.join(operation.name for operation in operations)} {where}", run)


def _operation(node: fx.Node, modules: dict[str, nn.Module]) -> _Operation:
    if node.op == "call_module":
        module = modules[str(node.target)]
        return _Operation(type(module).__name__.lower(), partial(module, **node.kwargs))
    assert callable(node.target), "the trace was found to be a chain of modules and functions"
    return _Operation(str(getattr(node.target, "__name__", node.target)), partial(node.target, **node.kwargs))


def _padding(layer: nn.Conv2d) -> _Operation:
    """Return the padding of a convolution by other values than zeros, which files hold as a part of its own."""
    sides = layer._reversed_padding_repeated_twice
    return _Operation("pad", partial(functional.pad, pad=sides, mode=layer.padding_mode))


def _unpadded(layer: nn.Conv2d) -> nn.Conv2d:
    unpadded = copy.deepcopy(layer)
    unpadded.padding, unpadded.padding_mode = (0, 0), "zeros"
    return unpadded
