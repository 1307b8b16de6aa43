from pathlib import Path

import pytest

from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from tests.damage.reports import broken_reports


@pytest.fixture(scope="session")
def reports(exported: list[Artifact], reference: Reference) -> dict[str, ParityReport]:
    """A report on each exported file."""
    return {artifact.path.name: verify_path(artifact.path, reference) for artifact in exported}


@pytest.fixture(scope="session")
def broken(exports: Path, reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ParityReport]:
    """Reports on damaged files."""
    folder = tmp_path_factory.mktemp("broken")
    return broken_reports((exports / "mnist-mlp.onnx").read_bytes(), reference, folder)
