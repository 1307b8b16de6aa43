"""Linear layers with int8 weights, by torch's eager dynamic quantization."""

import torch
from torch import nn

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
        quantized: nn.Module = quantize_dynamic(model, {nn.Linear: config})
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
