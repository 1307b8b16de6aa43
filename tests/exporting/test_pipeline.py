"""What an export writes: files, manifest, names; and what it refuses before any work is done."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import read_manifest
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact, ParityError, artifact_name, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS, format_of, read_artifact
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import Reference
from mnist_edge.training.architectures.registry import build_model

ONNX, TORCHSCRIPT = FORMATS["onnx"], FORMATS["torchscript"]
QUICK = ExportSettings([TORCHSCRIPT])
"""The export that takes the least time."""


def names_of(reference: Reference) -> list[str]:
    """Return the names of all that can be exported, in the order of the work."""
    checkpoint = reference.checkpoint
    return [
        artifact_name(checkpoint.task, checkpoint.architecture, spec, precision)
        for spec in FORMATS.values()
        for precision in Precision
        if precision in spec.precisions
    ]


def test_one_file_each_and_a_manifest(exported: list[Artifact], exports: Path, reference: Reference) -> None:
    names = names_of(reference)
    assert {"mnist-mlp.onnx", "mnist-mlp-int8.onnx", "mnist-mlp.pt", "mnist-mlp-int8.pt"} <= set(names)
    assert [artifact.path.name for artifact in exported] == names
    assert sorted(path.name for path in exports.iterdir()) == sorted([*names, "manifest.json"])
    entries = json.loads((exports / "manifest.json").read_text())["artifacts"]
    assert [entry["file"] for entry in entries] == names
    for entry in entries:
        path = exports / entry["file"]
        bundle = read_artifact(path).bundle
        if path.is_file():
            assert entry["sha256"] == sha256(path.read_bytes())
        assert entry["sha256"] == bundle.digest
        assert entry["bytes"] == bundle.size
        assert entry["checkpoint"] == reference.checkpoint.digest
        assert entry["versions"]["torch"] == version("torch")
        assert entry["parity"]["passed"]
        assert entry["parity"]["images"] == 10_000
        assert [comparison["batch"] for comparison in entry["parity"]["comparisons"]] == (
            [1] if entry["precision"] == "int8" or FORMATS[entry["format"]].batch == 1 else [1, 7, 1000]
        )


def test_quantizing_makes_the_file_a_quarter(exported: list[Artifact]) -> None:
    sizes = {artifact.path.name: artifact.size for artifact in exported}
    assert sizes["mnist-mlp-int8.onnx"] < 0.28 * sizes["mnist-mlp.onnx"]  # 8 kB of either are test vectors
    assert sizes["mnist-mlp-int8.pt"] < 0.31 * sizes["mnist-mlp.pt"]


@pytest.mark.slow
def test_what_was_written_is_what_can_be_read(exported: list[Artifact]) -> None:
    for artifact in exported:
        read = read_artifact(artifact.path)
        assert (read.bundle.digest, read.bundle.size) == (artifact.sha256, artifact.size)
        with read.open() as runner:
            assert runner.contract == artifact.contract
        assert artifact.report
        assert artifact.report.path == artifact.path


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 20])
def test_the_opset_asked_for_is_in_the_file(opset: int, reference: Reference, tmp_path: Path) -> None:
    settings = ExportSettings([ONNX], [Precision.FP32, Precision.INT8], {"opset": opset}, scheme="dynamic-u8")
    for artifact in export_artifacts(reference, settings, tmp_path):
        graph = onnx.load(artifact.path)
        assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", opset)]
        assert artifact.contract.options == {"opset": opset}


@pytest.mark.slow
def test_an_opset_that_torch_cannot_give_is_one_line(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot export this model to ONNX opset 11: it gave 18"):
        export_artifacts(reference, ExportSettings([ONNX], options={"opset": 11}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def entries_of(folder: Path) -> list[str]:
    return [entry["file"] for entry in read_manifest(folder)]


@pytest.mark.slow
def test_an_export_replaces_its_own_entries_and_keeps_the_others(
    reference: Reference, exports: Path, tmp_path: Path
) -> None:
    """The folder holds what `exported` wrote, of which two files are still there."""
    for name in ("manifest.json", "mnist-mlp.onnx", "mnist-mlp.pt"):
        (tmp_path / name).write_bytes((exports / name).read_bytes())
    (artifact,) = export_artifacts(reference, QUICK, tmp_path)
    assert artifact.sha256 == read_artifact(exports / "mnist-mlp.pt").bundle.digest
    assert entries_of(tmp_path) == ["mnist-mlp.onnx", "mnist-mlp.pt"]
    (tmp_path / "mnist-mlp.onnx").unlink()
    export_artifacts(reference, QUICK, tmp_path)
    assert entries_of(tmp_path) == ["mnist-mlp.pt"]


def test_a_manifest_that_is_not_ours_is_not_overwritten(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(UserError, match="cannot understand"):
        export_artifacts(reference, QUICK, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_else_was_traced_does_not_change_the_bytes(exported: list[Artifact], reference: Reference) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp.pt"]
    scheme = TORCHSCRIPT.schemes[0]
    requests = [replace(reference.request(TORCHSCRIPT, scheme, {}), contract=artifact.contract)]
    for _ in range(3):
        TORCHSCRIPT.exporter().export(build_model("mlp", reference.checkpoint.task), requests)
    (bundle,) = TORCHSCRIPT.exporter().export(reference.checkpoint.build(), requests)
    assert bundle.with_checksum() == read_artifact(artifact.path).bundle


def test_the_format_is_known_by_the_suffix() -> None:
    assert format_of(Path("a.b.onnx")).name == "onnx"
    assert format_of(Path("a.pt")).name == "torchscript"
    with pytest.raises(UserError, match=r"expected one of \.onnx \(onnx\), \.pt \(torchscript\)"):
        format_of(Path("a.xyz"))


@pytest.mark.slow
def test_an_export_that_another_processor_computes_differently_is_not_written(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExportSettings([FORMATS["c"]], [Precision.INT8], targets=("wasm32",), target_images=10)
    (artifact,) = export_artifacts(reference, settings, tmp_path)
    (entry,) = read_manifest(tmp_path)
    (device,) = entry["parity"]["devices"]
    assert (device["target"], device["equal_logits"]) == ("wasm32", 10)
    before = artifact.path.read_bytes()

    def other(*_: object) -> None:
        raise ArtifactError("it stopped")

    monkeypatch.setattr("mnist_edge.formats.c.devices.run_on", other)
    with pytest.raises(ParityError, match="was not written, it differs from the trained model: wasm32: it stopped"):
        export_artifacts(reference, settings, tmp_path)
    assert artifact.path.read_bytes() == before
