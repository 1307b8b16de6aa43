import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.exporting.pipeline import Artefact
from tests.conftest import RELEASED, ROOT
from tests.damage import edits


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_selfcheck_without_a_file_checks_what_predict_would_take(
    exports: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "exports").symlink_to(exports)
    monkeypatch.chdir(tmp_path)
    result = run("selfcheck")
    assert result.exit_code == 0
    files = [line.split(":")[0] for line in result.stdout.splitlines() if line.endswith(": passed")]
    assert [Path(file).name for file in files] == ["mnist-mlp-int8.onnx", "mnist-mlp-int8.onnx", "mnist-cnn-int8.onnx"]
    assert files[0] == "exports/mnist-mlp-int8.onnx"
    assert result.stdout.count("same answers 25 of 25") >= 3
    assert "onnxruntime" in result.stdout


def test_selfcheck_of_a_damaged_file_is_exit_code_1(exports: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    bad.write_bytes(damage.resealed(bad.read_bytes(), damage.drop_relu))
    result = run("selfcheck", exports / "mnist-mlp-int8.onnx", bad, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [check["passed"] for check in report["checks"]] == [True, False]
    assert set(report["machine"]) == {"system", "architecture", "features", "versions"}
    assert result.stderr.startswith(f"{bad}: ")


def test_selfcheck_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom mnist_edge.cli import main\n"
        "main(['selfcheck'], standalone_mode=False)\n"
        "print(sorted({'torch', 'torchvision', 'onnx', 'rich', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_info_shows_contract_provenance_and_structure(exported: list[Artefact]) -> None:
    for artefact in exported:
        result = run("info", artefact.path, "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert told["file"]["sha256"] == artefact.sha256
        assert told["file"]["seal"] == "whole"
        assert told["contract"]["scheme"] == artefact.contract.scheme
        assert told["provenance"]["checkpoint"] == artefact.contract.checkpoint
        assert told["structure"]["parameters"] == 109_386
        assert told["golden vectors"]["images"] == 25
        assert sum("elu" in operator for operator in told["structure"]["operators"]) == 1
        lines = run("info", artefact.path).stdout.splitlines()
        assert "  parameters: 109386" in lines
        assert f"  precision: {artefact.contract.precision}" in lines


def test_info_of_a_checkpoint() -> None:
    told = json.loads(run("info", RELEASED, "--json").stdout)
    assert told["structure"]["parameters"] == 109_386
    assert told["recipe"]["name"] == "robust"
    assert told["provenance"]["seed"] == 0


def test_info_of_what_is_neither_is_one_line(tmp_path: Path, exports: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    for path in (tmp_path / "a.onnx", tmp_path / "missing.onnx", exports / "manifest.json"):
        result = run("info", path)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1


def test_predict_checks_first_if_asked(exports: Path, tmp_path: Path) -> None:
    picture = ROOT / "examples" / "two.png"
    result = run("predict", "--selfcheck", "--quiet", picture)
    assert (result.exit_code, result.stdout) == (0, "2\n")
    bad = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    bad.write_bytes(damage.resealed(bad.read_bytes(), damage.drop_relu))
    result = run("predict", "--selfcheck", "--quiet", "--model", bad, picture)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "gives other numbers here than it must" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_checked_costs_only_its_own_verdict(exports: Path, tmp_path: Path) -> None:
    good = exports / "mnist-mlp.onnx"
    result = run("selfcheck", exports / "mnist-mlp.pt", tmp_path / "missing.onnx", good, "--json")
    assert result.exit_code == 1
    checks = json.loads(result.stdout)["checks"]
    assert [check["passed"] for check in checks] == [False, False, True]
    assert "TorchScript archive" in checks[0]["problem"]
    assert len(result.stderr.splitlines()) == 2
    assert run("selfcheck", tmp_path / "missing.onnx", good).stdout.count("passed") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.onnx")
    for command in (["selfcheck"], ["info"], ["predict", ROOT / "examples" / "two.png", "--model"]):
        result = run(*command, tmp_path / "a.onnx")
        assert result.exit_code == 1
        assert "it is a pipe, a device or a socket" in result.stderr
