import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import manifest_bytes
from mnist_edge.cli import main
from mnist_edge.cli.artifacts import checkpoints_of, expand
from mnist_edge.cli.options import last_checkpoint
from mnist_edge.errors import UserError
from mnist_edge.reading import MAX_FILE_BYTES
from tests.conftest import ROOT


def test_what_lies_beside_artifacts_in_the_folder_of_a_checkout_is_passed_over() -> None:
    """`verify exports/*` names it too."""
    beside = [ROOT / "exports" / "README.md", ROOT / "exports" / "manifest.json"]
    assert beside[0].exists()
    assert expand([Path("exports/a.onnx"), *beside]) == [Path("exports/a.onnx")]


def test_what_names_no_artifact_at_all_is_refused() -> None:
    assert expand([]) == []
    with pytest.raises(UserError, match=r"^none of a/README.md, manifest.json is an exported artifact: name the files"):
        expand([Path("a/README.md"), Path("manifest.json")])


@pytest.mark.parametrize("command", ["verify", "selfcheck", "benchmark", "evaluate"])
def test_no_verdict_is_given_where_no_artifact_was_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing was exported yet")
    for name in ("README.md", "missing/manifest.json"):
        result = CliRunner().invoke(main, [command, str(tmp_path / name)])
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert "is not an exported artifact: name the file" in line


def test_what_is_no_checkpoint_in_their_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints = Path("checkpoints")
    (checkpoints / "folder.safetensors").mkdir(parents=True)
    (checkpoints / "gone.safetensors").symlink_to("missing")
    assert last_checkpoint() == checkpoints / "mnist-mlp.safetensors"
    right, large = checkpoints / "right.safetensors", checkpoints / "large.safetensors"
    right.write_bytes(b"weights")
    assert last_checkpoint() == right
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    os.utime(large, (0, 0))
    entry = {"file": "a.onnx", "format": "onnx", "sha256": "0" * 64, "checkpoint": sha256(b"weights")}
    Path("manifest.json").write_bytes(manifest_bytes([entry]))
    assert checkpoints_of([Path("a.onnx")]) == {Path("a.onnx"): right}
    assert "large.safetensors is passed over: cannot read" in capsys.readouterr().err
