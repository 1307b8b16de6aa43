"""Tensors with metadata in one safetensors file: no pickle, the same content gives the same bytes."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.fields import one_line, parse_object, take_object, take_text
from mnist_edge.atomic import atomic_write
from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes

_KEY = "mnist_edge"  # one key only: safetensors writes several in no fixed order


def tensors_to_bytes(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> bytes:
    """Return a safetensors file's content; `metadata` is anything that JSON can hold."""
    # A copy of each, since layers may share their weights, which safetensors does not write.
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return safetensors.torch.save(contiguous, metadata={_KEY: json.dumps(metadata, sort_keys=True)})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write a safetensors file, atomically.

    Raises:
        UserError: the file can't be written.
    """
    atomic_write(path, tensors_to_bytes(tensors, metadata))


def read_tensors(path: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return the tensors, the metadata and the SHA-256 of a file that `write_tensors` wrote.

    The metadata is an object, but what it holds is not checked. `expected` says in an error what the file should have
    been.

    Raises:
        UserError: the file can't be read, is damaged, or was not written by mnist-edge.
    """
    data = read_bytes(path)
    try:
        return safetensors.torch.load(data), _metadata(data), sha256(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not {expected} of mnist-edge, or is damaged ({one_line(error)}): "
            "make one with `mnist-edge train`"
        ) from error


def _metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata in the header of a safetensors file: 8 bytes of length, then JSON.

    `safetensors.safe_open` reads the metadata only of a file by its name, and the file may have changed since.
    """
    length = int.from_bytes(data[:8], "little")
    header = parse_object(data[8 : 8 + length])
    return parse_object(take_text(take_object(header, "__metadata__"), _KEY, longest=len(data)))
