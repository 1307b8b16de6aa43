"""What torch reads in a TorchScript archive: structure, stored weights, intermediate values."""

from collections import Counter

import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.base import Inspection, Intermediates, ModelSummary, Precision, Runner
from mnist_edge.formats.torchscript import intermediates
from mnist_edge.formats.torchscript.runner import load_module
from mnist_edge.formats.torchscript.tensors import named_tensors, stored_tensor


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in a TorchScript archive; see `mnist_edge.formats.base.Inspector`."""
    module = load_module(bundle.data, {})
    tensors = named_tensors(module)
    precision = Precision.INT8 if "quantized::" in str(module.inlined_graph) else Precision.FP32
    stated = runner.contract.precision
    return Inspection(
        summary=_summary(module, tensors),
        weights={name: stored_tensor(tensor) for name, tensor in tensors.items()},
        problems=() if precision == stated else (f"the module's weights are {precision}, its contract says {stated}",),
    )


def open_intermediates(bundle: Bundle, names: tuple[str, ...]) -> Intermediates:
    """Open an archive so that its layers can be seen; see `mnist_edge.formats.base.Inspector`."""
    return intermediates.open_intermediates(load_module(bundle.data, {}), names)


def _summary(module: torch.jit.ScriptModule, tensors: dict[str, torch.Tensor]) -> ModelSummary:
    return ModelSummary(
        operators=dict(Counter(node.kind() for node in module.inlined_graph.nodes() if _computes(node.kind()))),
        parameters=sum(tensor.numel() for name, tensor in tensors.items() if "running_" not in name),
        tensors={
            name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for name, tensor in tensors.items()
        },
    )


def _computes(kind: str) -> bool:
    return not kind.startswith("prim::")
