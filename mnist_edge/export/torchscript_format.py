"""TorchScript, run by libtorch.

It is deprecated (`torch.jit` and `torch.ao.quantization` warn) but still what many devices run. Those warnings, and
no others, are silenced here.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.export.format import ArtefactError, Format, Inside, Loaded
from mnist_edge.export.torchscript_layers import layers_of
from mnist_edge.files import read_bytes
from mnist_edge.runtime.contract import CONTRACT_KEY, Contract, ContractError
from mnist_edge.runtime.seal import UNSEALED

_DEPRECATIONS = (
    r"`torch\.jit\.\w+` is deprecated",
    r"torch\.ao\.quantization is deprecated",
    r"torch\.quantize_per_tensor, torch\.quantize_per_channel and other quantized tensor creation functions",
)


def _export(model: nn.Module, contract: Contract) -> bytes:
    """Return the model as a TorchScript archive that carries the contract and a place for the seal."""
    if contract.precision == "int8":
        model = _quantize(model)
    sample = torch.zeros(2, *(side for side in contract.input_shape if isinstance(side, int)))
    with _without_deprecations():
        # The first trace of a class in a process keeps its name, later ones get a number; here all do.
        torch.jit.trace(model, sample)
        module = torch.jit.trace(model, sample)
        buffer = io.BytesIO()
        torch.jit.save(module, buffer, _extra_files={CONTRACT_KEY: contract.to_json().encode()})
    return _canonical(buffer.getvalue())


def _quantize(model: nn.Module) -> nn.Module:
    """Return the model with torch's eager dynamic quantisation: int8 weights, a scale for each output of a layer.

    Raises:
        UserError: this torch no longer has it.
    """
    with _without_deprecations():
        try:
            from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
        except ImportError as error:
            raise UserError(
                f"torch {torch.__version__} has no eager quantisation (torch.ao.quantization): "
                "install torch 2.14, or export int8 with --format onnx"
            ) from error
        quantized: nn.Module = quantize_dynamic(model, {nn.Linear: per_channel_dynamic_qconfig})
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


def _open(path: Path) -> tuple[torch.jit.ScriptModule, Contract]:
    extra = {CONTRACT_KEY: ""}
    try:
        with _without_deprecations():
            # Loading int8 weights warns once a process, in C++, past Python's filters: let it warn here instead.
            torch.quantize_per_tensor(torch.zeros(1), scale=1.0, zero_point=0, dtype=torch.qint8)
            module = torch.jit.load(io.BytesIO(read_bytes(path)), map_location="cpu", _extra_files=extra)
        contract = Contract.from_json(extra[CONTRACT_KEY] or None)
    except ContractError as error:
        raise ArtefactError(str(error)) from error
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"torch cannot load it ({str(error).splitlines()[0]})") from error
    module.eval()
    return module, contract


def _load(path: Path) -> Loaded:
    module, contract = _open(path)
    found = "int8" if "quantized::" in str(module.inlined_graph) else "fp32"
    problems = (
        ()
        if found == contract.precision
        else (f"the module computes in {found}, its contract says {contract.precision}",)
    )

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                logits: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        except RuntimeError as error:
            raise ArtefactError(f"torch cannot run a batch of {len(images)} ({str(error).splitlines()[-1]})") from error
        return logits

    return Loaded(contract, predict, problems)


def _layers(path: Path, names: tuple[str, ...]) -> Inside:
    return layers_of(_open(path)[0], names)


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
    has_opset=False,
    export=_export,
    load=_load,
    layers=_layers,
)
