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
from mnist_edge.export.format import Format
from mnist_edge.export.parity import ParityReport, Reference
from mnist_edge.export.verify import expected_contract, judge
from mnist_edge.files import Stage, sha256, staging
from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.manifest import MANIFEST, manifest_bytes, read_manifest
from mnist_edge.runtime.seal import seal

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
    """

    path: Path
    format: str
    size: int
    sha256: str
    contract: Contract
    report: ParityReport

    def to_json(self) -> dict[str, Any]:
        """Return the artefact's entry in the manifest."""
        return {
            "file": self.path.name,
            "format": self.format,
            "precision": self.contract.precision,
            "opset": self.contract.opset,
            "bytes": self.size,
            "sha256": self.sha256,
            "checkpoint": self.contract.checkpoint,
            "versions": self.contract.producer,
            "parity": self.report.to_json(),
        }


def export(
    reference: Reference,
    formats: list[Format],
    precisions: list[str],
    output: Path,
    opset: int = OPSET,
    certainty: float = 0.0,
) -> list[Artefact]:
    """Export the reference's checkpoint in each format and precision into the folder `output`, all or nothing.

    Each file is written under a temporary name, judged in its own runtime on all images of the reference, and gets
    its own name only when every one of them has passed. The same checkpoint gives the same bytes. `certainty` goes into
    their contracts; `calibrated_certainty` finds it.

    Raises:
        ParityError: a file does not match; `output` is as it was.
        UserError: a file can't be written or a format can't give what was asked; `output` is as it was.
    """
    with staging() as stage:
        artefacts = [
            _export_one(reference, format, precision, output, opset, certainty, stage)
            for format in formats
            for precision in precisions
            if precision in format.precisions
        ]
        stage(output / MANIFEST, _manifest(output, artefacts))
    return artefacts


def _export_one(
    reference: Reference, format: Format, precision: str, output: Path, opset: int, certainty: float, stage: Stage
) -> Artefact:
    contract = dataclasses.replace(
        expected_contract(reference, precision, opset if format.has_opset else None),
        producer=_producer(),
        certainty=certainty,
    )
    target = output / artefact_name(reference.checkpoint.architecture, format, precision)
    data = seal(format.export(reference.checkpoint.build(), contract))
    report = judge(stage(target, data), format, reference)
    if not report:
        raise ParityError(f"{target} was not written, it differs from the trained model: {'; '.join(report.problems)}")
    return Artefact(target, format.name, len(data), sha256(data), contract, report)


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
