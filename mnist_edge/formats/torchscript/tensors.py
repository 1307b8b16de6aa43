"""The tensors that a TorchScript module stores, by the names that the trained model has for them."""

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
