"""What a file is and where it comes from."""

import dataclasses
from pathlib import Path
from typing import Any

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.names import is_own
from mnist_edge.errors import ArtifactError, ChecksumError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.build import Outline
from mnist_edge.formats.runner import Runner
from mnist_edge.parity.evaluate import read_model
from mnist_edge.reading import read_bytes
from mnist_edge.training.checkpoint import CHECKPOINT_SUFFIX, Checkpoint, load_checkpoint

Groups = dict[str, dict[str, Any]]
"""Named groups of JSON types."""


def describe(path: Path) -> Groups:
    """Return what is known of an exported artifact or a checkpoint.

    Raises:
        UserError: it can't be read, or is neither.
    """
    if path.suffix == CHECKPOINT_SUFFIX:
        return _describe_checkpoint(path)
    artifact = read_model(path)
    spec, bundle = artifact.spec, artifact.bundle
    try:
        if reader := spec.foreign_reader():
            found = reader.outline(bundle)
            if found is not None:
                return _describe_foreign(artifact, found)
        with artifact.open() as runner:
            inspection = spec.inspect(bundle, runner)
            nothing = {"operators": f"{spec.name} does not show them"}
            return {
                "file": {**_file(path, bundle), "format": spec.name, "checksum": _checksum(bundle)},
                **_describe_contract(runner),
                "structure": dataclasses.asdict(inspection.summary) if inspection else nothing,
            }
    except ArtifactError as error:
        raise UserError(f"cannot load {path}: {error}; expected a file made by `mnist-edge export`") from error


def _describe_foreign(artifact: ArtifactFile, found: Outline) -> Groups:
    """Return what is seen in a file without a contract, which is not run for that, and what it does not say."""
    file = {**_file(artifact.path, artifact.bundle), "format": artifact.spec.name, "checksum": "none"}
    return {
        "file": file,
        "provenance": {"producer": found.producer or "not said", "opsets": dict(found.opsets)},
        "inputs": {tensor.name: (tensor.dtype, tensor.shape) for tensor in found.inputs},
        "outputs": {tensor.name: (tensor.dtype, tensor.shape) for tensor in found.outputs},
        "structure": {"operators": dict(found.operators), "parameters": found.parameters},
        "missing": {
            "contract": "not made by `mnist-edge export`: labels, range, polarity and normalization are not known",
            "test_vectors": "none: `verify` and `selfcheck` can't judge it",
            "runs_here": found.refusal or "`mnist-edge evaluate` can measure it, if its input fits",
        },
    }


def _describe_contract(runner: Runner) -> Groups:
    contract = dataclasses.asdict(runner.contract)
    provenance = {name: contract.pop(name) for name in ("checkpoint", "architecture", "license", "producer")}
    vectors = runner.test_vectors
    return {
        "contract": contract,
        "provenance": provenance,
        "test_vectors": {
            "images": len(vectors.labels),
            "training_images": list(vectors.indices),
            "bound": vectors.bound,
        },
    }


def _describe_checkpoint(path: Path) -> Groups:
    bundle = Bundle.of_file(read_bytes(path))
    checkpoint = load_checkpoint(path)
    tensors = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in checkpoint.weights.items()
    }
    return {
        "file": _file(path, bundle),
        "task": checkpoint.task.to_fields(),
        "recipe": dataclasses.asdict(checkpoint.recipe) if checkpoint.recipe else {"name": "none: trained elsewhere"},
        "provenance": {
            "architecture": checkpoint.architecture,
            "seed": checkpoint.seed,
            "validation_accuracy": checkpoint.history[-1].accuracy if checkpoint.history else None,
            "temperature": checkpoint.temperature,
            "training_data": checkpoint.data_digest,
            "data": {**dataclasses.asdict(checkpoint.data), "sizes": checkpoint.data.sizes},
            "teachers": list(checkpoint.teachers),
            "license": checkpoint.license,
            "producer": checkpoint.producer,
        },
        "structure": {"parameters": _parameters(checkpoint), "tensors": tensors},
    }


def _parameters(checkpoint: Checkpoint) -> int:
    """Return how many numbers were learned; of a network of the user's own, whose code is not run, by their names."""
    if not is_own(checkpoint.architecture):
        return sum(parameter.numel() for parameter in checkpoint.build().parameters())
    floats = {name: tensor for name, tensor in checkpoint.weights.items() if tensor.is_floating_point()}
    return sum(tensor.numel() for name, tensor in floats.items() if "running_" not in name)


def _file(path: Path, bundle: Bundle) -> dict[str, Any]:
    return {"path": str(path), "bytes": bundle.size, "sha256": bundle.digest}


def _checksum(bundle: Bundle) -> str:
    try:
        bundle.verify_checksum()
    except ChecksumError as error:
        return f"broken: {error}"
    return "correct"
