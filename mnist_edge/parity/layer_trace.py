"""A trained model as a chain of steps: its layers with weights, and what is done between them."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True)
class Step:
    """A part of the trained model.

    Attributes:
        name: of the layer; or of what is done between two layers, and before which.
        run: its input → its output.
        layer: the module with its weights, batch normalisation folded in, or None between layers.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    layer: nn.Module | None = None


def chain(model: nn.Module) -> list[Step]:
    """Return a model as a chain: what lies before each layer with weights, the layer, …, what lies after the last.

    Raises:
        ValueError: the model is no chain: a value is used twice.
    """
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    steps: list[Step] = []
    between: list[fx.Node] = []
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            continue
        if len(node.all_input_nodes) != 1 or len(node.all_input_nodes[0].users) != 1:
            raise ValueError(f"the model is no chain at {node.name}")
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, nn.Linear | nn.Conv2d):
            steps.append(_between(between, modules, f"before {node.target}" if steps else "of the input"))
            steps.append(Step(str(node.target), module, module))
            between = []
        elif isinstance(module, nn.BatchNorm2d) and steps and not between and isinstance(steps[-1].layer, nn.Conv2d):
            fused = fuse_conv_bn_eval(steps[-1].layer, module)
            steps[-1] = Step(steps[-1].name, fused, fused)
        elif node.op != "output":
            between.append(node)
    return [*steps, _between(between, modules, "of the output")]


def _between(nodes: list[fx.Node], modules: dict[str, nn.Module], where: str) -> Step:
    operations = [_operation(node, modules) for node in nodes]

    def run(value: Tensor) -> Tensor:
        for operation in operations:
            value = operation(value)
        return value

    if not nodes:
        return Step(f"nothing {where}", unchanged)
    return Step(f"{' and '.join(_called(node, modules) for node in nodes)} {where}", run)


def unchanged(value: Tensor) -> Tensor:
    """Return the value: the step between two layers that follow each other at once."""
    return value


def _operation(node: fx.Node, modules: dict[str, nn.Module]) -> Callable[[Tensor], Tensor]:
    if node.op == "call_module":
        return modules[str(node.target)]
    if node.op == "call_function" and callable(node.target) and node.args == tuple(node.all_input_nodes):
        return node.target
    raise ValueError(f"the model is no chain of modules and functions of one value at {node.name}")


def _called(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        return type(modules[str(node.target)]).__name__.lower()
    return str(getattr(node.target, "__name__", node.target))
