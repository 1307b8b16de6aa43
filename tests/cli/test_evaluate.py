from pathlib import Path

from click.testing import CliRunner

from mnist_edge.artifact.manifest import manifest_bytes
from mnist_edge.cli import main


def test_a_folder_stands_for_what_its_manifest_lists(tmp_path: Path) -> None:
    entry = {"file": "a.onnx", "format": "onnx", "sha256": "0" * 64}
    (tmp_path / "manifest.json").write_bytes(manifest_bytes([entry]))
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{tmp_path / 'a.onnx'}: No such file or directory" in result.stderr
