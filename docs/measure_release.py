"""What the released models come to, measured on all test images and written to `release/measured.json`.

The model cards and the tables of the README are made from it (`model_cards.py`), so that no figure of theirs is typed.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mnist_edge
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, load_reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.metrics import evaluate_logits

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "release" / "measured.json"
ONNX = FORMATS["onnx"]


def measure(checkpoint: Path, builtin: Path) -> dict[str, Any]:
    """Return the figures of a checkpoint, of its ONNX exports in fp32 and fp16, and of the built-in int8 file.

    Args:
        checkpoint: of the trained model.
        builtin: the file that comes with the package.
    """
    reference = load_reference(checkpoint, ROOT / "data")
    floats = [precision for precision in ONNX.precisions if precision is not Precision.INT8]
    with tempfile.TemporaryDirectory() as folder:
        artifacts = mnist_edge.export(reference, formats=[ONNX.name], precisions=floats, output=folder)
    files = {artifact.contract.precision: figures_of(artifact.report) for artifact in artifacts}
    report = verify_path(builtin, reference)
    if not report:
        raise SystemExit(f"{builtin} does not pass: run `make release-model`")
    return {"trained": trained(reference), "files": {**files, str(Precision.INT8): figures_of(report)}}


def trained(reference: Reference) -> dict[str, Any]:
    """Return the figures of the trained model, in eager PyTorch."""
    checkpoint = reference.checkpoint
    found = evaluate_logits(reference.logits, reference.labels, checkpoint.temperature)
    return {
        "sha256": checkpoint.digest,
        "parameters": sum(tensor.numel() for tensor in checkpoint.build().parameters()),
        **_accuracy(found.correct, found.images, found.interval),
        "calibration_error": found.calibration_error,
    }


def figures_of(report: ParityReport) -> dict[str, Any]:
    """Return the figures of a file that passed."""
    found = report.statistics
    assert found is not None, "a file that passed was run"
    return {
        "sha256": report.sha256,
        "bytes": report.size,
        **_accuracy(found.accuracy.hits, found.accuracy.images, found.accuracy.interval),
        "changed": len(found.changed),
        "max_abs_diff": report.max_abs_diff,
    }


def _accuracy(correct: int, images: int, interval: tuple[float, float]) -> dict[str, Any]:
    return {"correct": correct, "images": images, "interval_95": list(interval)}


def read_measured() -> Mapping[str, Any]:
    """Return what was measured, by the name of the model."""
    measured: Mapping[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return measured


def main() -> None:
    """Measure all built-in models and write the figures."""
    measured = {
        name: measure(ROOT / "release" / f"mnist-{name}.safetensors", path) for name, path in BUILTIN_MODELS.items()
    }
    MEASURED.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
