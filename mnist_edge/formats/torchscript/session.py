"""A TorchScript archive in torch: what the sandbox runs. Everything else reads archives as text."""

import io
from collections import Counter

import torch
from torch import Tensor, nn

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.formats.torchscript.layers import Probe
from mnist_edge.formats.torchscript.tensors import named_tensors
from mnist_edge.sandbox.client import Arrays, Values
from mnist_edge.types import Images, Logits


def warm_up() -> None:
    """Run each kind of kernel once, so that their libraries are open."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)).eval()
    images = torch.zeros(2, 1, 8, 8)
    with torch.inference_mode(), without_deprecations():
        module = torch.jit.trace(model, images)
        for _ in range(3):  # the third run is the first of the optimized program
            module(images)
        weight = torch.quantize_per_tensor(torch.zeros(4, 72), scale=1.0, zero_point=0, dtype=torch.qint8)
        packed = torch.ops.quantized.linear_prepack(weight, None)
        torch.ops.quantized.linear_dynamic(torch.zeros(2, 72), packed)


class Session:
    """An archive that is open; each call takes and gives plain values and arrays."""

    def __init__(self, data: bytes) -> None:
        """Load an archive; raises `ArtifactError` where torch can't."""
        self._data = data
        self._module = self._load()
        self._probe: Probe | None = None

    def _load(self) -> torch.jit.ScriptModule:
        try:
            with without_deprecations():
                module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(self._data), map_location="cpu")
        except (RuntimeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"torch cannot load it ({one_line(error)})") from error
        return module.eval()

    def call_predict(self, values: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        """Images, in batches of `batch` → logits."""
        return {}, {"logits": predict_in_batches(self._predict, arrays["images"], values["batch"])}

    def _predict(self, images: Images) -> Logits:
        try:
            with torch.inference_mode():
                logits = self._module(torch.from_numpy(images.copy()))
        except RuntimeError as error:
            raise ArtifactError(f"torch cannot run a batch of {len(images)} ({one_line(error)})") from error
        if not isinstance(logits, Tensor):
            raise ArtifactError("it does not give one tensor")
        array: Logits = logits.numpy()
        return array

    def call_tensors(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        """Nothing → each stored tensor: its type, its numbers, and its scales and zero points if it is quantized."""
        types, arrays = {}, {}
        for name, tensor in named_tensors(self._module).items():
            types[name] = str(tensor.dtype).removeprefix("torch.")
            if not tensor.is_quantized:
                arrays[name] = tensor.detach().numpy()
                continue
            per_row = tensor.qscheme() == torch.per_channel_affine
            arrays[name] = tensor.int_repr().numpy()
            scale = tensor.q_per_channel_scales() if per_row else torch.tensor([tensor.q_scale()])
            zero = tensor.q_per_channel_zero_points() if per_row else torch.tensor([tensor.q_zero_point()])
            arrays[f"{name} scale"], arrays[f"{name} zero_point"] = scale.float().numpy(), zero.numpy()
        return {"types": types}, arrays

    def call_operators(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        """Nothing → how often each operator occurs."""
        kinds = [node.kind() for node in self._module.inlined_graph.nodes()]
        return {"operators": dict(Counter(kind for kind in kinds if not kind.startswith("prim::")))}, {}

    def call_open_layers(self, values: Values, _: Arrays) -> tuple[Values, Arrays]:
        """Names of layers → where their weights are stored; the layers can be run from then on."""
        self._probe = Probe(self._load(), tuple(values["names"]))
        return {"layers": self._probe.stored}, {}

    def call_run_layers(self, _: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        """Images → logits, and the input and output of each layer."""
        assert self._probe is not None, "the layers are opened before they are run"
        return {}, self._probe.run(arrays["images"])
