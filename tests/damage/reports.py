"""Reports on damaged files, for the tests of what is made of reports."""

from pathlib import Path

from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from tests.damage import edits


def broken_reports(original: bytes, reference: Reference, folder: Path) -> dict[str, ParityReport]:
    """Return reports on copies of a float32 ONNX file that were altered, cut off, and given a batch that can't run."""
    alter = {"relu": edits.drop_relu, "weight": edits.change_weight, "nan": edits.not_a_number}
    files = {name: edits.tampered(original, edit) for name, edit in alter.items()}
    files |= {"frozen": edits.tampered(original, edits.freeze_batch), "cut": original[:-1000]}
    for name, data in files.items():
        (folder / f"{name}.onnx").write_bytes(data)
    return {name: verify_path(folder / f"{name}.onnx", reference) for name in files}
