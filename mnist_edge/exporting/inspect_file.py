"""What a file is and where it comes from."""

import dataclasses
from pathlib import Path
from typing import Any

from mnist_edge.errors import UserError
from mnist_edge.formats.base import ArtefactError
from mnist_edge.formats.registry import format_of
from mnist_edge.atomic import read_bytes, sha256
from mnist_edge.artifact.checksum import SealError, check_seal
from mnist_edge.training.checkpoint import load_checkpoint


def describe(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is known of an exported file or a checkpoint, in named groups of JSON types.

    Raises:
        UserError: the file can't be read, or is neither.
    """
    data = read_bytes(path)
    file = {"path": str(path), "bytes": len(data), "sha256": sha256(data)}
    if path.suffix == ".safetensors":
        return {"file": file, **_checkpoint(path)}
    format = format_of(path)
    try:
        loaded = format.load(path)
        structure = format.structure(path)
    except ArtefactError as error:
        raise UserError(f"cannot load {path}: {error}; expected a file made by `mnist-edge export`") from error
    contract = dataclasses.asdict(loaded.contract)
    provenance = {name: contract.pop(name) for name in ("checkpoint", "architecture", "licence", "producer")}
    golden = loaded.golden
    return {
        "file": {**file, "format": format.name, "seal": _seal(data)},
        "contract": contract,
        "provenance": provenance,
        "golden vectors": {
            "images": len(golden.labels),
            "training images": list(golden.indices),
            "allowed |Δlogit|": golden.bound,
        },
        "structure": dataclasses.asdict(structure),
    }


def _checkpoint(path: Path) -> dict[str, dict[str, Any]]:
    checkpoint = load_checkpoint(path)
    tensors = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in checkpoint.weights.items()
    }
    learnt = [parameter.numel() for parameter in checkpoint.build().parameters()]
    return {
        "recipe": dataclasses.asdict(checkpoint.recipe),
        "provenance": {
            "architecture": checkpoint.architecture,
            "seed": checkpoint.seed,
            "held-back accuracy": checkpoint.history[-1].accuracy if checkpoint.history else None,
            "temperature": checkpoint.temperature,
            "training data": checkpoint.data_digest,
            "producer": checkpoint.versions,
        },
        "structure": {"parameters": sum(learnt), "tensors": tensors},
    }


def _seal(data: bytes) -> str:
    try:
        check_seal(data)
    except SealError as error:
        return f"broken: {error}"
    return "whole"
