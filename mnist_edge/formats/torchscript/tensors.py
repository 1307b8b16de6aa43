"""The tensors that a TorchScript module stores."""

import torch
from torch import Tensor

from mnist_edge.formats.base import StoredTensor, float_tensor, int8_tensor


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


def stored_tensor(tensor: Tensor) -> StoredTensor:
    """Return a tensor as it is stored: floats, or signed bytes with a scale for all of it or for each of its rows."""
    if not tensor.is_quantized:
        return float_tensor(tensor.detach().numpy())
    per_row = tensor.qscheme() == torch.per_channel_affine
    scale = tensor.q_per_channel_scales() if per_row else torch.tensor([tensor.q_scale()])
    zero = tensor.q_per_channel_zero_points() if per_row else torch.tensor([tensor.q_zero_point()])
    return int8_tensor(tensor.int_repr().numpy(), scale.float().numpy(), zero.numpy(), axis=0)
