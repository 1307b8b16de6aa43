"""A `torch.export` archive in torch: what the sandbox runs."""

import io

import torch
from torch import Tensor, nn

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.logs import quiet
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.sandbox.client import Arrays, Values
from mnist_edge.types import Images, Logits


def warm_up() -> None:
    """Export, save, load and run a small network once, so that all that this imports and opens is open."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)).eval()
    sample = torch.zeros(2, 1, 8, 8)
    program = torch.export.export(model, (sample,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    with torch.inference_mode():
        torch.export.load(buffer).module()(torch.zeros(3, 1, 8, 8))


class Session:
    """An archive that is open; each call takes and gives plain values and arrays."""

    def __init__(self, data: bytes) -> None:
        """Load an archive; raises `ArtifactError` where torch can't."""
        try:
            with quiet("torch.export"):  # it logs a traceback before it raises
                self._program = torch.export.load(io.BytesIO(data))
            self._module = self._program.module()
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, OSError) as error:
            raise ArtifactError(f"torch cannot load it ({one_line(error)})") from error

    def call_predict(self, values: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        """Images, in batches of `batch` → logits."""
        return {}, {"logits": predict_in_batches(self._predict, arrays["images"], values["batch"])}

    def _predict(self, images: Images) -> Logits:
        try:
            with torch.inference_mode():
                logits = self._module(torch.from_numpy(images.copy()))
        except (RuntimeError, AssertionError) as error:
            raise ArtifactError(f"torch cannot run a batch of {len(images)} ({one_line(error)})") from error
        if not isinstance(logits, Tensor):
            raise ArtifactError("it does not give one tensor")
        array: Logits = logits.numpy()
        return array

    def call_describe(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        """Nothing → the shapes of the inputs, None for a symbolic side, the operators, and the stored weights."""
        names = self._program.graph_signature.user_inputs
        nodes = list(self._program.graph.nodes)
        inputs = [node.meta["val"] for node in nodes if node.op == "placeholder" and node.name in names]
        tensors = {name: tensor for name, tensor in self._program.state_dict.items() if tensor.is_floating_point()}
        reply = {
            "inputs": [[side if isinstance(side, int) else None for side in value.shape] for value in inputs],
            "outputs": len(self._program.graph_signature.user_outputs),
            "operators": [str(node.target) for node in nodes if node.op == "call_function"],
            "types": {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()},
        }
        return reply, {name: tensor.detach().numpy() for name, tensor in tensors.items()}
