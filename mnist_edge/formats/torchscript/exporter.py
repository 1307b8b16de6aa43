"""TorchScript, run by libtorch.

It is deprecated (`torch.jit` and `torch.ao.quantization` warn) but still what many devices run. Those warnings, and
no others, are silenced here.
"""

import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.formats.base import ArtefactError, Format, Inside, Loaded, Structure
from mnist_edge.parity.test_vectors import with_expected
from mnist_edge.formats.torchscript.intermediates import layers_of
from mnist_edge.parity.weights import Stored, as_float
from mnist_edge.atomic import read_bytes
from mnist_edge.artifact.contract import CONTRACT_KEY, UNQUANTIZED, Contract, ContractError
from mnist_edge.artifact.test_vectors import GOLDEN_KEY, Golden, GoldenError
from mnist_edge.artifact.checksum import UNSEALED

_DEPRECATIONS = (
    r"`torch\.jit\.\w+` is deprecated",
    r"torch\.ao\.quantization is deprecated",
    r"torch\.quantize_per_tensor, torch\.quantize_per_channel and other quantized tensor creation functions",
)


def _export(model: nn.Module, contracts: Sequence[Contract], golden: Golden) -> list[bytes]:
    """Return the model as TorchScript archives that carry contract, golden vectors and a place for the seal."""
    return [_export_one(_in_scheme(model, contract.scheme), contract, golden) for contract in contracts]


def _export_one(model: nn.Module, contract: Contract, golden: Golden) -> bytes:
    sample = torch.zeros(2, *(side for side in contract.input_shape if isinstance(side, int)))
    with _without_deprecations():
        # The first trace of a class in a process keeps its name, later ones get a number; here all do.
        torch.jit.trace(model, sample)
        module = torch.jit.trace(model, sample)
        if contract.scheme != UNQUANTIZED:
            golden = with_expected(golden, _one_by_one(module, golden.inputs), contract.scheme)
        papers = {CONTRACT_KEY: contract.to_json().encode(), GOLDEN_KEY: golden.to_json().encode()}
        buffer = io.BytesIO()
        torch.jit.save(module, buffer, _extra_files=papers)
    return _canonical(buffer.getvalue())


def _one_by_one(module: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits, float32 `[N, 10]`, of images given in batches of one."""
    with torch.inference_mode():
        parts = [module(batch) for batch in torch.from_numpy(images).split(1)]
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def _in_scheme(model: nn.Module, scheme: str) -> nn.Module:
    """Return the model with torch's eager dynamic quantisation, or as it is: int8 weights of its linear layers.

    Raises:
        UserError: this torch no longer has it.
    """
    if scheme == UNQUANTIZED:
        return model
    with _without_deprecations():
        try:
            from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic
        except ImportError as error:
            raise UserError(
                f"torch {torch.__version__} has no eager quantisation (torch.ao.quantization): "
                "install torch 2.14, or export int8 with --format onnx"
            ) from error
        configs = {"dynamic-s8": default_dynamic_qconfig, "dynamic-s8-channel": per_channel_dynamic_qconfig}
        quantized: nn.Module = quantize_dynamic(model, {nn.Linear: configs[scheme]})
        return quantized


def _canonical(archive: bytes) -> bytes:
    """Return the archive without what depends on the machine or on what else the process traced.

    Dropped are debug records (source paths), sample inputs and the archive's random name; classes are numbered
    anew in the order in which they appear. The place for the seal is the archive's comment.
    """
    numbers: dict[bytes, bytes] = {}

    def renumber(text: bytes) -> bytes:
        return re.sub(
            rb"___torch_mangle_\d+", lambda m: numbers.setdefault(m[0], b"___torch_mangle_%d" % len(numbers)), text
        )

    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            if name.endswith((".debug_pkl", "/serialization_id")) or "/traced_inputs" in name:
                continue
            data = source.read(name)
            if name.endswith((".py", ".pkl")):
                data = renumber(data)
            target.writestr(zipfile.ZipInfo(renumber(name.encode()).decode()), data)
        target.comment = UNSEALED.encode()
    return result.getvalue()


def _load(path: Path) -> Loaded:
    extra = {CONTRACT_KEY: "", GOLDEN_KEY: ""}
    module = _open(path, extra)
    try:
        contract = Contract.from_json(_text(extra[CONTRACT_KEY]))
        golden = Golden.from_json(_text(extra[GOLDEN_KEY]))
    except (ContractError, GoldenError, UnicodeDecodeError) as error:
        raise ArtefactError(str(error)) from error
    found = "int8" if "quantized::" in str(module.inlined_graph) else "fp32"
    problems = (
        ()
        if found == contract.precision
        else (f"the module's weights are {found}, its contract says {contract.precision}",)
    )

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                logits: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        except RuntimeError as error:
            raise ArtefactError(f"torch cannot run a batch of {len(images)} ({str(error).splitlines()[-1]})") from error
        return logits

    return Loaded(contract, golden, _stored(module), predict, problems)


def _open(path: Path, extra: dict[str, str]) -> torch.jit.ScriptModule:
    """Return the module, in `eval()`, and fill in the archive's extra files.

    Raises:
        ArtefactError: torch can't load the file.
    """
    try:
        with _without_deprecations():
            # Loading int8 weights warns once a process, in C++, past Python's filters: let it warn here instead.
            torch.quantize_per_tensor(torch.zeros(1), scale=1.0, zero_point=0, dtype=torch.qint8)
            module: torch.jit.ScriptModule = torch.jit.load(
                io.BytesIO(read_bytes(path)), map_location="cpu", _extra_files=extra
            )
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"torch cannot load it ({str(error).splitlines()[0]})") from error
    return module.eval()


def _text(extra: str | bytes) -> str | None:
    """Return the text of an extra file, or None where the archive has none."""
    return (extra.decode() if isinstance(extra, bytes) else extra) or None


def _structure(path: Path) -> Structure:
    module = _open(path, {})
    tensors = _tensors(module)
    return Structure(
        operators=dict(Counter(node.kind() for node in module.inlined_graph.nodes() if _computes(node.kind()))),
        parameters=sum(tensor.numel() for name, tensor in tensors.items() if "running_" not in name),
        tensors={
            name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for name, tensor in tensors.items()
        },
    )


def _tensors(module: torch.jit.ScriptModule) -> dict[str, Tensor]:
    """Return the floating and quantised tensors of a module under the names that the trained model has for them."""
    tensors = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    for name, part in module.named_modules():
        packed = getattr(part, "_packed_params", None)
        if isinstance(packed, torch.ScriptObject):
            weight, bias = torch.ops.quantized.linear_unpack(packed)
            layer = name.removesuffix("._packed_params")
            tensors |= {f"{layer}.weight": weight, f"{layer}.bias": bias}
    return tensors


def _stored(module: torch.jit.ScriptModule) -> dict[str, Stored]:
    return {
        name: _quantized(tensor) if tensor.is_quantized else as_float(tensor.detach().numpy())
        for name, tensor in _tensors(module).items()
    }


def _quantized(tensor: Tensor) -> Stored:
    """Return a weight of signed bytes, with a scale for the whole tensor or for each of its rows."""
    per_row = tensor.qscheme() == torch.per_channel_affine
    scale = tensor.q_per_channel_scales().unsqueeze(1) if per_row else torch.tensor([tensor.q_scale()])
    numbers = tensor.int_repr()
    return Stored(
        values=tensor.dequantize().numpy(),
        step=scale.float().numpy(),
        edge=((numbers == -128) | (numbers == 127)).numpy(),
    )


def _computes(kind: str) -> bool:
    return not kind.startswith("prim::")


def _layers(path: Path, names: tuple[str, ...]) -> Inside:
    return layers_of(_open(path, {}), names)


@contextmanager
def _without_deprecations() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in _DEPRECATIONS:
            warnings.filterwarnings("ignore", message=message)
        yield


TORCHSCRIPT = Format(
    name="torchscript",
    suffix=".pt",
    precisions=("fp32", "int8"),
    schemes=("dynamic-s8", "dynamic-s8-channel"),
    has_opset=False,
    export=_export,
    load=_load,
    structure=_structure,
    layers=_layers,
)
