"""Weights that somebody trained with code of their own: `torch.save(model.state_dict(), …)`, or safetensors.

No code is run from a file: `torch.load` reads tensors and plain containers alone (`weights_only`).
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.reading import MAX_FILE_BYTES, read_bytes
from mnist_edge.text import printable

MAX_NAMED = 4
"""Weights that do not fit which a message names."""

_WRAPPERS = ("module.", "_orig_mod.")
"""What `DataParallel` and `torch.compile` put before the names of all weights."""

_FORBIDDEN = re.compile(r"(?:GLOBAL|function|class) `?([\w.]+)`? was not an allowed global", re.ASCII)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file by their names, on the CPU.

    A dictionary that holds one `state_dict` beside other things, as trainings save it, is taken for that one.

    Raises:
        UserError: the file can't be read, holds something else than weights, or would run code to be read.
    """
    data = read_bytes(path)
    return dict(_of_safetensors(path, data) if path.suffix == ".safetensors" else _of_pickle(path, data))


def _of_safetensors(path: Path, data: bytes) -> Mapping[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a safetensors file, or is damaged ({one_line(error)})") from error
    return tensors


def _of_pickle(path: Path, data: bytes) -> Mapping[str, Tensor]:
    how = f"save the weights alone, with torch.save(model.state_dict(), {path.name!r})"
    _check_size(path, data)
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file makes it raise anything
        if forbidden := _FORBIDDEN.search(str(error)):
            raise UserError(
                f"{path} holds more than weights: to read its {printable(forbidden[1])[:80]} would run code from the "
                f"file; {how}"
            ) from error
        if "TorchScript" in str(error):
            raise UserError(f"{path} is a TorchScript program, which holds code: {how}") from error
        raise UserError(f"{path} is not a file of torch.save, or is damaged ({_reason(error)}): {how}") from error
    return _state_dict(path, loaded, how)


def _check_size(path: Path, data: bytes) -> None:
    """Refuse an archive that unpacks to more than a file may have; `torch.save` packs nothing."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(f"{path} is a damaged archive ({one_line(error)})") from error
    if size > MAX_FILE_BYTES:
        raise UserError(f"{path} unpacks to {size:,} bytes, expected at most {MAX_FILE_BYTES:,}")


def _reason(error: Exception) -> str:
    """Return the first sentence of what torch says, which goes on for a page."""
    return one_line(error).partition(". ")[0]


def _state_dict(path: Path, loaded: object, how: str) -> Mapping[str, Tensor]:
    """Return the `state_dict` that was loaded, or the only one in a dictionary that was."""
    if _is_state_dict(loaded):
        return loaded
    inside = loaded if isinstance(loaded, dict) else {}
    found = [value for value in inside.values() if _is_state_dict(value)]
    if len(found) != 1:
        what = f"{len(found)} of them" if found else type(loaded).__name__
        raise UserError(f"{path} holds {what}, expected one dictionary of tensors by their names: {how}")
    return found[0]


def _is_state_dict(value: object) -> TypeGuard[dict[str, Tensor]]:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _unwrapped(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under the names that the network itself has for them, one of which may be that of a wrapper."""
    found = dict(weights)
    while (
        found
        and expected.keys().isdisjoint(found)
        and (wrapper := next((each for each in _WRAPPERS if all(n.startswith(each) for n in found)), None))
    ):
        found = {name.removeprefix(wrapper): tensor for name, tensor in found.items()}
    return found


def fit_weights(path: Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as a network has them, float numbers of any precision as its own.

    Args:
        path: of the file that they come from.
        weights: what it holds, also under the names that `DataParallel` and `torch.compile` give.
        expected: the network's `state_dict`.

    Raises:
        UserError: they are of other names or shapes, or are not finite numbers.
    """
    weights = _unwrapped(weights, expected)
    problems = [
        *(f"it has no {name}" for name in expected if name not in weights),
        *(f"the network has no {name}" for name in weights if name not in expected),
        *(
            f"{name} is {list(weights[name].shape)}, the network's is {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ),
    ]
    if problems:
        more = len(problems) - MAX_NAMED
        rest = f"; and {more:,} more" if more > 0 else ""
        raise UserError(
            f"the weights in {path} do not fit the network: {printable('; '.join(problems[:MAX_NAMED]))}{rest}"
        )
    return {name: _as(path, name, weights[name], tensor) for name, tensor in expected.items()}


def _as(path: Path, name: str, found: Tensor, expected: Tensor) -> Tensor:
    if found.layout != torch.strided or found.is_quantized or found.is_floating_point() != expected.is_floating_point():
        kind = str(found.dtype).removeprefix("torch.")
        raise UserError(f"{name} in {path} is of type {kind}, the network's is {expected.dtype}".replace("torch.", ""))
    if found.is_floating_point() and not found.isfinite().all():
        raise UserError(f"{name} in {path} holds NaN or infinity: expected finite weights")
    return found.detach().to(expected.dtype).clone(memory_format=torch.contiguous_format)
