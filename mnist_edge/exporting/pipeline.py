"""Checkpoint → artefacts with proof: what does not match the trained model is never given its name."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.exporting.scheme_search import Candidate, weigh
from mnist_edge.formats.base import Format
from mnist_edge.parity.comparison import NO_GOALS, Goals, ParityReport, Reference
from mnist_edge.parity.verify import expected_contract, judge
from mnist_edge.atomic import Stage, sha256, staging
from mnist_edge.artifact.contract import UNQUANTIZED, Contract
from mnist_edge.artifact.manifest import MANIFEST, manifest_bytes, read_manifest
from mnist_edge.artifact.checksum import seal

OPSET = 18
"""ONNX opset that is written unless another is asked for: the lowest for which torch's exporter has implementations."""


class ParityError(UserError):
    """An export does not match the trained model, and was not written."""


@dataclass(frozen=True)
class Artefact:
    """A written file and its proof.

    Attributes:
        path: where it is.
        format: a key of `FORMATS`.
        size: in bytes.
        sha256: of its bytes.
        contract: what it carries.
        report: the verdict on it.
        candidates: the ways to quantise that were weighed; none where nothing was quantised.
    """

    path: Path
    format: str
    size: int
    sha256: str
    contract: Contract
    report: ParityReport
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the artefact's entry in the manifest."""
        return {
            "file": self.path.name,
            "format": self.format,
            "precision": self.contract.precision,
            "scheme": self.contract.scheme,
            "opset": self.contract.opset,
            "bytes": self.size,
            "sha256": self.sha256,
            "checkpoint": self.contract.checkpoint,
            "versions": self.contract.producer,
            "parity": self.report.to_json(),
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }


def export(
    reference: Reference,
    formats: list[Format],
    precisions: list[str],
    output: Path,
    opset: int = OPSET,
    goals: Goals = NO_GOALS,
    scheme: str | None = None,
) -> list[Artefact]:
    """Export the reference's checkpoint in each format and precision into the folder `output`, all or nothing.

    Each file is written under a temporary name, judged in its own runtime on all images of the reference, and gets
    its own name only when every one of them has passed. The same checkpoint gives the same bytes.

    Args:
        reference: the checkpoint and its answers.
        formats: to export to.
        precisions: `fp32`, `int8` or both.
        output: the folder; made where it is missing.
        opset: ONNX opset of the files.
        goals: what each file must keep beyond the tolerance of its precision.
        scheme: how int8 is quantised; None weighs all that the format has and takes the best.

    Raises:
        ParityError: a file does not match; `output` is as it was.
        UserError: a file can't be written or a format can't give what was asked; `output` is as it was.
    """
    with staging() as stage:
        artefacts = [
            _export_one(reference, format, precision, output, opset, goals, scheme, stage)
            for format in formats
            for precision in precisions
            if precision in format.precisions
        ]
        stage(output / MANIFEST, _manifest(output, artefacts))
    return artefacts


def _export_one(
    reference: Reference,
    format: Format,
    precision: str,
    output: Path,
    opset: int,
    goals: Goals,
    scheme: str | None,
    stage: Stage,
) -> Artefact:
    schemes = _schemes(format, precision, scheme)
    contracts = [_contract(reference, format, each, opset) for each in schemes]
    files = dict(zip(schemes, format.export(reference.checkpoint.build(), contracts, reference.golden), strict=True))
    candidates = weigh(format, files, reference, goals.max_bytes) if precision == "int8" else ()
    taken = next((candidate.scheme for candidate in candidates if candidate.chosen), UNQUANTIZED)
    contract = contracts[schemes.index(taken)]
    target = output / artefact_name(reference.checkpoint.architecture, format, precision)
    data = seal(files[taken])
    report = judge(stage(target, data), format, reference, goals)
    if not report:
        raise ParityError(f"{target} was not written, it differs from the trained model: {'; '.join(report.problems)}")
    return Artefact(target, format.name, len(data), sha256(data), contract, report, candidates)


def _schemes(format: Format, precision: str, scheme: str | None) -> tuple[str, ...]:
    if precision == "fp32":
        return (UNQUANTIZED,)
    if scheme is None:
        return format.schemes
    if scheme not in format.schemes:
        raise UserError(f"{format.name} has no scheme {scheme!r}: expected one of {', '.join(format.schemes)}")
    return (scheme,)


def _contract(reference: Reference, format: Format, scheme: str, opset: int) -> Contract:
    contract = expected_contract(reference, scheme, opset if format.has_opset else None)
    return dataclasses.replace(contract, producer=_producer())


def artefact_name(architecture: str, format: Format, precision: str) -> str:
    """Return the file name of an export."""
    return f"mnist-{architecture}{'' if precision == 'fp32' else '-' + precision}{format.suffix}"


def _producer() -> dict[str, str]:
    return {
        "mnist-edge": mnist_edge.__version__,
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _manifest(folder: Path, artefacts: list[Artefact]) -> bytes:
    """Return the manifest with these artefacts last, after those of earlier exports that are there and stay."""
    replaced = {artefact.path.name for artefact in artefacts}
    earlier = [entry for entry in read_manifest(folder) if (folder / entry["file"]).exists()]
    kept = [entry for entry in earlier if entry["file"] not in replaced]
    return manifest_bytes(kept + [artefact.to_json() for artefact in artefacts])
