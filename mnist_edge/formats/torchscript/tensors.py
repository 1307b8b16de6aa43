"""The tensors that a TorchScript module stores, by the names that the trained model has for them."""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor


def named_tensors(module: torch.jit.ScriptModule) -> dict[str, Tensor]:
    """Return the floating and quantized tensors of a module under the names that the trained model has for them."""
    tensors = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    for name, part in module.named_modules():
        packed = getattr(part, "_packed_params", None)
        if isinstance(packed, torch.ScriptObject):
            weight, bias = torch.ops.quantized.linear_unpack(packed)
            layer = name.removesuffix("._packed_params")
            tensors |= {f"{layer}.weight": weight, f"{layer}.bias": bias}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def largest_of_most_floats(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> str | None:
    """Return the largest matrix that is not quantized, where those hold more numbers than the ones that are, or None.

    The weights of convolutions have more than two sides: torch never quantizes them here.

    Args:
        tensors: type and shape by name.
    """
    sizes = {name: prod(shape) for name, (_, shape) in tensors.items() if len(shape) == 2}
    floats = {name: size for name, size in sizes.items() if "qint8" not in tensors[name][0]}
    if 2 * sum(floats.values()) <= sum(sizes.values()):
        return None
    return max(floats, key=lambda name: floats[name])
