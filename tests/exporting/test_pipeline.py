import json
import re
import zipfile
from pathlib import Path

import onnx
import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artefact, export
from mnist_edge.formats.registry import FORMATS, format_of
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference
from mnist_edge.atomic import sha256
from mnist_edge.artifact.checksum import seal
from mnist_edge.training.architectures.registry import build_model

NAMES = ["mnist-mlp.onnx", "mnist-mlp-int8.onnx", "mnist-mlp.pt", "mnist-mlp-int8.pt"]


def test_one_file_each_and_a_manifest(exported: list[Artefact], exports: Path, reference: Reference) -> None:
    assert [artefact.path.name for artefact in exported] == NAMES
    assert sorted(path.name for path in exports.iterdir()) == sorted([*NAMES, "manifest.json"])
    entries = json.loads((exports / "manifest.json").read_text())["artefacts"]
    assert [entry["file"] for entry in entries] == NAMES
    for entry in entries:
        data = (exports / entry["file"]).read_bytes()
        assert entry["sha256"] == sha256(data)
        assert entry["bytes"] == len(data)
        assert entry["checkpoint"] == reference.checkpoint.digest
        assert entry["versions"]["torch"] == torch.__version__
        assert entry["parity"]["passed"]
        assert entry["parity"]["images"] == 10_000
        assert [c["batch"] for c in entry["parity"]["comparisons"]] == (
            [1, 7, 1000] if entry["precision"] == "fp32" else [1]
        )


def test_quantising_makes_the_file_a_quarter(exported: list[Artefact]) -> None:
    sizes = [artefact.size for artefact in exported]
    assert sizes[1] < 0.28 * sizes[0]  # 8 kB of either are golden vectors
    assert sizes[3] < 0.31 * sizes[2]


def test_the_same_checkpoint_gives_the_same_bytes(
    exported: list[Artefact], exports: Path, reference: Reference, tmp_path: Path
) -> None:
    again = export(reference, list(FORMATS.values()), ["fp32", "int8"], tmp_path / "elsewhere")
    assert [artefact.sha256 for artefact in again] == [artefact.sha256 for artefact in exported]
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (tmp_path / "elsewhere", exports)]
    for manifest in manifests:
        for entry in manifest["artefacts"]:
            del entry["parity"]  # measured anew; the last digits depend on where arrays lie in memory
    assert manifests[0] == manifests[1]


def test_no_path_of_the_building_machine_is_in_a_file(exported: list[Artefact]) -> None:
    path = re.compile(rb"/(home|tmp|root|usr|work|Users|opt|var|mnt)/|site-packages|[\w/]+\.py\b(?!PK|FB)")
    for artefact in exported:
        for name, content in _contents(artefact.path).items():
            assert not re.search(path, content), f"{artefact.path.name}: {name}"


def _contents(path: Path) -> dict[str, bytes]:
    """Return what is inside: the members of an archive, or the file itself."""
    if not zipfile.is_zipfile(path):
        return {path.name: path.read_bytes()}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("opset", [17, 20])
def test_the_opset_asked_for_is_in_the_file(opset: int, reference: Reference, tmp_path: Path) -> None:
    for artefact in export(reference, [ONNX], ["fp32", "int8"], tmp_path, opset=opset):
        graph = onnx.load(artefact.path)
        assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", opset)]
        assert artefact.contract.opset == opset


def test_an_opset_that_torch_cannot_give_is_one_line(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot export this model to ONNX opset 11: it gave 18"):
        export(reference, [ONNX], ["fp32"], tmp_path, opset=11)
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_its_own_entries_and_keeps_the_others(reference: Reference, tmp_path: Path) -> None:
    torchscript = FORMATS["torchscript"]
    export(reference, [torchscript, ONNX], ["fp32"], tmp_path)
    export(reference, [torchscript], ["fp32"], tmp_path)
    entries = json.loads((tmp_path / "manifest.json").read_text())["artefacts"]
    assert [entry["file"] for entry in entries] == ["mnist-mlp.onnx", "mnist-mlp.pt"]
    (tmp_path / "mnist-mlp.onnx").unlink()
    export(reference, [torchscript], ["fp32"], tmp_path)
    entries = json.loads((tmp_path / "manifest.json").read_text())["artefacts"]
    assert [entry["file"] for entry in entries] == ["mnist-mlp.pt"]


def test_a_manifest_that_is_not_ours_is_not_overwritten(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(UserError, match="cannot understand"):
        export(reference, [FORMATS["torchscript"]], ["fp32"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_else_was_traced_does_not_change_the_bytes(exported: list[Artefact], reference: Reference) -> None:
    (artefact,) = [a for a in exported if a.path.name == "mnist-mlp.pt"]
    for _ in range(3):
        FORMATS["torchscript"].export(build_model("mlp"), [artefact.contract], reference.golden)
    (data,) = FORMATS["torchscript"].export(reference.checkpoint.build(), [artefact.contract], reference.golden)
    again = seal(data)
    assert again == artefact.path.read_bytes()


def test_formats_are_told_by_suffix() -> None:
    assert format_of(Path("a.b.onnx")).name == "onnx"
    assert format_of(Path("a.pt")).name == "torchscript"
    with pytest.raises(UserError, match=r"expected one of \.onnx \(onnx\), \.pt \(torchscript\)"):
        format_of(Path("a.tflite"))
