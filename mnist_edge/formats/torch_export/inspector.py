"""What torch reads in a `torch.export` archive: structure and stored weights."""

from collections import Counter

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.base import Inspection, ModelSummary, Runner, float_tensor
from mnist_edge.formats.torch_export.runner import load_program


def inspect(bundle: Bundle, runner: Runner) -> Inspection:  # noqa: ARG001 - the contract says nothing to hold it to
    """Return what can be read in an archive; see `mnist_edge.formats.base.Inspector`."""
    program = load_program(bundle.data, {})
    tensors = {name: tensor for name, tensor in program.state_dict.items() if tensor.is_floating_point()}
    operators = Counter(str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return Inspection(
        summary=ModelSummary(
            operators=dict(operators),
            parameters=sum(tensor.numel() for name, tensor in tensors.items() if "running_" not in name),
            tensors={
                name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
                for name, tensor in tensors.items()
            },
        ),
        weights={name: float_tensor(tensor.detach().numpy()) for name, tensor in tensors.items()},
        problems=(),
    )
