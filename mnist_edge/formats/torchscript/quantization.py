"""Linear layers with int8 weights, by torch's eager dynamic quantization."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.formats.torchscript.tensors import largest_of_most_floats, named_tensors
from mnist_edge.text import printable

_PER_CHANNEL = {"dynamic-s8": False, "dynamic-s8-channel": True}
"""Whether each output channel has a scale."""

_ONNX = "export int8 with --format onnx"


def quantize(model: nn.Module, request: ExportRequest) -> nn.Module:
    """Return the model as its scheme says: as it is, or with int8 weights of its linear layers.

    A layer whose weight is used other than by calling it stays as it is: quantized, it has no tensor to use.

    Raises:
        UserError: this torch no longer has it, or it would leave out what a layer does.
    """
    if not request.scheme.quantized:
        return model
    _check_forward(model)
    with without_deprecations():
        try:
            from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic
        except ImportError as error:
            raise UserError(
                f"torch {torch.__version__} has no eager quantization (torch.ao.quantization): "
                f"install torch 2.14, or {_ONNX}"
            ) from error
        config = per_channel_dynamic_qconfig if _PER_CHANNEL[request.scheme.name] else default_dynamic_qconfig
        used = _used_without_a_call(model, request.contract.task.input.shape)
        quantized: nn.Module = quantize_dynamic(model, {nn.Linear: config, **dict.fromkeys(used)})
        return quantized


def check_quantized(module: torch.jit.ScriptModule) -> None:
    """Return if most of what is multiplied by as a matrix is quantized; raises `UserError` where it is not."""
    tensors = named_tensors(module)
    largest = largest_of_most_floats({name: (str(each.dtype), tuple(each.shape)) for name, each in tensors.items()})
    if largest is not None:
        raise UserError(
            "torchscript has no int8 for this network: torch quantizes calls of nn.Linear alone, "
            f"and most weights in matrices stay float32, such as {printable(_own(largest))}: {_ONNX}"
        )
    if not any(tensor.is_quantized for tensor in tensors.values()):
        raise UserError(f"torchscript has no int8 for this network: it has no nn.Linear that torch quantizes: {_ONNX}")


def _check_forward(model: nn.Module) -> None:
    """Raise `UserError` where a linear layer has a `forward` that is not its class's: quantizing leaves that out."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and "forward" in vars(module):
            raise UserError(
                f"torchscript can't hold int8 weights of the layer {printable(_own(name))} (Linear), which has a "
                f"forward() that is not its class's: make a class of it, or {_ONNX}"
            )


def _own(name: str) -> str:
    """Return what a layer or a parameter is called in a checkpoint of one's own."""
    return name.removeprefix("network.")


def _used_without_a_call(model: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the linear layers whose parameters something else computes with, for images of a shape."""
    layers = {name: module for name, module in model.named_modules(remove_duplicate=False) if type(module) is nn.Linear}
    watch = _Watch()
    hooks = []
    for layer in set(layers.values()):
        hooks.append(layer.register_forward_pre_hook(watch.enter))
        hooks.append(layer.register_forward_hook(watch.leave))
    try:
        with torch.no_grad(), watch:
            model(torch.zeros(2, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    return [name for name, layer in layers.items() if any(id(each) in watch.seen for each in layer.parameters())]


class _Watch(TorchFunctionMode):
    """Sees what torch is given while no linear layer is run, in `seen` by identity; those live as long as the model."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()
        self._inside = False

    def enter(self, *_: object) -> None:
        """Look away: a linear layer begins."""
        self._inside = True

    def leave(self, *_: object) -> None:
        """Look again: a linear layer has ended."""
        self._inside = False

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _: object,
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what torch gives
        """Note the parameters among what a function of torch is given, and call it."""
        if not self._inside:
            given = [*arguments, *(keywords or {}).values()]
            given += [item for each in given if isinstance(each, (list, tuple)) for item in each]  # of torch.cat
            self.seen |= {id(each) for each in given if isinstance(each, nn.Parameter)}
        return function(*arguments, **(keywords or {}))
