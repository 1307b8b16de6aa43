"""Trained model → the modules that a value goes through, one after the other, by tracing it with torch.fx."""

import operator
import re
import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional

import mnist_edge
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.outside import is_from_outside

_FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    torch.relu: nn.ReLU,
    functional.relu: nn.ReLU,
    torch.flatten: nn.Flatten,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.dropout: nn.Dropout,
    "relu": nn.ReLU,
    "flatten": nn.Flatten,
}
"""The module that does what a function, or the method of a tensor with this name, does."""

KNOWN = "Linear, Conv2d, BatchNorm, ReLU, MaxPool2d, AvgPool2d, Flatten and Dropout"
"""What a network may be made of."""


_VALUES = "values"
"""What the number of values in each line is kept as in a node of a graph."""


class SizedFlatten(nn.Flatten):
    """One that knows how many values each line must have, or None."""

    def __init__(self, values: int | None, start_dim: int = 1, end_dim: int = -1) -> None:
        """Flatten as `nn.Flatten` does, to so many values."""
        super().__init__(start_dim, end_dim)
        self.values = values


def modules_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that a value goes through, one after the other, and their names.

    Raises:
        UserError: torch.fx can't follow the model, or it is not such a chain of what is known here.
    """
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:  # the network's own code is given what is not a tensor
        if is_from_outside(error):
            raise
        raise UserError(
            f"cannot write this network layer by layer: torch.fx can't follow its forward() ({one_line(error)})"
            f"{_where(error)}; export it to another --format"
        ) from error
    _refuse_overridden("the whole network", model)
    _simplify(traced.graph)
    modules = dict(traced.named_modules())
    found: list[tuple[str, nn.Module]] = []
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            continue
        if len(node.all_input_nodes) != 1 or len(node.all_input_nodes[0].users) != 1:
            raise refused(_called(node), node.name, "the values do not go through one layer after the other")
        if node.op == "call_module":
            _refuse_overridden(str(node.target), modules[str(node.target)])
            found.append((str(node.target), modules[str(node.target)]))
        elif node.op in ("call_function", "call_method"):
            found.append((node.name, _as_module(node)))
        elif node.op != "output":
            raise refused(_called(node), node.name)
    return found


def _where(error: BaseException) -> str:
    """Return the line in which the network's own code raised something; nothing where there is none.

    A line of an installed package is named only where there is no other: the network is then one of its.
    """
    lines = [(Path(frame.filename), frame.lineno) for frame in reversed(traceback.extract_tb(error.__traceback__))]
    file, line = min(
        (each for each in lines if not _is_of_tracing(each[0])),
        key=lambda each: _is_installed(each[0]),
        default=(None, None),
    )
    return f" in line {line} of {file.name}" if file else ""


def _is_installed(file: Path) -> bool:
    return "site-packages" in file.parts or "dist-packages" in file.parts


def _is_of_tracing(file: Path) -> bool:
    """Say whether a file is of what follows a network, torch or this package, or of the standard library."""
    folders = [Path(package.__file__).parent for package in (torch, mnist_edge) if package.__file__]
    if not _is_installed(file):
        folders += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    return file.name.startswith("<frozen ") or any(map(file.is_relative_to, folders))


def _refuse_overridden(name: str, module: nn.Module) -> None:
    """Raise `UserError` where a module does something beside what its class says, which torch.fx leaves out.

    That is so of the layers of torch and of the whole network; in what lies between, it follows hooks and all.
    """
    attributes = vars(module)
    if attributes["_forward_hooks"] or attributes["_forward_pre_hooks"]:
        raise refused(
            type(module).__name__, name, "has a forward hook, which would be left out: remove it first, handle.remove()"
        )
    if "forward" in attributes:
        raise refused(type(module).__name__, name, "has a forward() that is not its class's, which would be left out")


def _simplify(graph: fx.Graph) -> None:
    """Put one function in the place of each view of the images as lines, and of each mean over images, in place."""
    for node in list(graph.nodes):
        if not node.args:
            continue
        lines = _view_of_lines(node) if node.target in (torch.reshape, "reshape", "view") else None
        if lines:
            functions: list[Callable[..., Any]] = [torch.flatten]
        elif node.target in (torch.mean, "mean") and _sides(node) in ({2, 3}, {-1, -2}):
            functions = [functional.adaptive_avg_pool2d]
            functions += [] if _argument(node, 2, "keepdim", default=False) else [torch.flatten]
        else:
            continue
        value = node.args[0]
        with graph.inserting_before(node):
            for function in functions:
                value = graph.call_function(function, (value, 1))
        if lines and lines.values > 0:
            value.meta[_VALUES] = lines.values
        node.replace_all_uses_with(value)
        graph.erase_node(node)
        if lines:
            _erase_unused(graph, lines.images)


class _Lines(NamedTuple):
    """What a view of images as lines asks for: the number of images, and of values in each, -1 for all."""

    images: int | fx.Node
    values: int


def _view_of_lines(node: fx.Node) -> _Lines | None:
    """Return what a view asks for that is of as many lines as there are images, else None."""
    given = node.args[1:]
    target = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    if not isinstance(target, tuple | list) or len(target) != 2:
        return None
    images, values = target
    if not isinstance(values, int):
        return None
    if isinstance(images, fx.Node):
        return _Lines(images, values) if _is_number_of_images(images) else None
    return _Lines(-1, values) if images == -1 and values > 0 else None


def _is_number_of_images(node: fx.Node) -> bool:
    """Say whether a node is `x.size(0)`, `x.size()[0]` or `x.shape[0]`; each value of a chain has all images."""
    if node.target == "size":
        return bool(node.args[1:] == (0,) or node.kwargs == {"dim": 0})
    sizes = node.args[0] if node.target is operator.getitem and node.args[1] == 0 else None
    if not isinstance(sizes, fx.Node):
        return False
    return bool((sizes.target, sizes.args[1:]) in (("size", ()), (getattr, ("shape",))))


def _erase_unused(graph: fx.Graph, node: object) -> None:
    """Erase what only asked for a size; nothing else, since a statement that changes a value in place has no user."""
    while isinstance(node, fx.Node) and not node.users and node.target in ("size", getattr, operator.getitem):
        (before,) = node.all_input_nodes
        graph.erase_node(node)
        node = before


def _argument(node: fx.Node, place: int, name: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever was given
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _sides(node: fx.Node) -> set[Any]:
    sides = _argument(node, 1, "dim")
    return set(sides) if isinstance(sides, tuple | list) else {sides}


def _as_module(node: fx.Node) -> nn.Module:
    """Return the module that does what a function or a method does in a graph; raises `UserError` if none does."""
    make = _FUNCTIONS.get(node.target)
    if make is None:
        raise refused(_called(node), node.name)
    arguments: list[Any] = list(node.args[1:])
    named: dict[str, Any] = {name: value for name, value in node.kwargs.items() if name != "input"}
    if make is nn.Flatten:
        start = {} if arguments else {"start_dim": 0}  # where nothing is given, the module begins at 1
        make, named = partial(SizedFlatten, node.meta.get(_VALUES)), start | named
    if make in (nn.ReLU, nn.Dropout):
        return make()
    try:
        return make(*arguments, **named)
    except TypeError as error:
        raise refused(_called(node), node.name, "has arguments that are not known here") from error


def _called(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def refused(kind: str, name: str, reason: str = "is not a layer that is known here") -> UserError:
    """Return the error that names a layer, by its kind and its name, and why it can't be written."""
    what, where = (
        re.sub(r"^network[._]", "", text) for text in (kind, name)
    )  # what it is in a checkpoint of one's own
    return UserError(
        f"cannot write this network layer by layer: {what} ({where}) {reason}; "
        f"expected a chain of {KNOWN}; export it to another --format"
    )
