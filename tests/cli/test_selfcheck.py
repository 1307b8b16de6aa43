import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from tests.conftest import ROOT
from tests.damage import edits
from tests.damage.edits import tampered


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def passed(result: Result) -> list[str]:
    """Return the files that passed."""
    return [line.removesuffix(": passed") for line in result.stdout.splitlines() if line.endswith(": passed")]


def test_selfcheck_without_a_file_checks_the_built_in_models() -> None:
    result = run("selfcheck")
    assert result.exit_code == 0
    assert passed(result) == [str(path) for path in BUILTIN_MODELS.values()]
    assert result.stdout.count("top-1 agreement 25 of 25") >= 2
    assert "onnxruntime" in result.stdout


@pytest.mark.slow
def test_selfcheck_of_a_folder_checks_what_its_manifest_lists(exported: list[Artifact], tmp_path: Path) -> None:
    result = run("selfcheck", exported[0].path.parent)
    assert result.exit_code == 0, result.output
    assert passed(result) == [str(artifact.path) for artifact in exported]
    result = run("selfcheck", tmp_path)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert "has no manifest.json" in result.stderr


def test_selfcheck_of_a_damaged_file_is_exit_code_1(exports: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    bad.write_bytes(tampered(bad.read_bytes(), edits.drop_relu))
    result = run("selfcheck", exports / "mnist-mlp-int8.onnx", bad, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [check["passed"] for check in report["checks"]] == [True, False]
    assert set(report["machine"]) == {"system", "architecture", "processor", "features", "versions"}
    assert result.stderr.startswith(f"{bad}: ")


def test_selfcheck_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom mnist_edge.cli import main\n"
        "main(['selfcheck'], standalone_mode=False)\n"
        "print(sorted({'torch', 'torchvision', 'onnx', 'rich', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_predict_checks_first_if_asked(exports: Path, tmp_path: Path) -> None:
    picture = ROOT / "examples" / "two.png"
    result = run("predict", "--selfcheck", "--format", "digits", picture)
    assert (result.exit_code, result.stdout) == (0, "2\n")
    bad = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    bad.write_bytes(tampered(bad.read_bytes(), edits.drop_relu))
    result = run("predict", "--selfcheck", "--format", "digits", "--model", bad, picture)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "gives other numbers here than it must" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_checked_costs_only_its_own_verdict(exports: Path, tmp_path: Path) -> None:
    good = exports / "mnist-mlp.onnx"
    (tmp_path / "a.pt").write_bytes(b"not a model")
    result = run("selfcheck", tmp_path / "a.pt", tmp_path / "missing.onnx", good, "--json")
    assert result.exit_code == 1
    checks = json.loads(result.stdout)["checks"]
    assert [check["passed"] for check in checks] == [False, False, True]
    assert f"cannot use {tmp_path / 'a.pt'}" in checks[0]["problem"]
    assert len(result.stderr.splitlines()) == 2
    assert run("selfcheck", tmp_path / "missing.onnx", good).stdout.count("passed") == 1


@pytest.mark.slow
def test_other_formats_check_themselves_too(exports: Path) -> None:
    result = run("selfcheck", exports / "mnist-mlp.pt", exports / "mnist-mlp-int8.pt")
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": passed") == 2


def test_it_needs_no_onnxruntime_for_files_that_need_none(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run("selfcheck", exports / "mnist-mlp-int8.npz", "--json")
    assert result.exit_code == 0, result.output
    versions = json.loads(result.stdout)["machine"]["versions"]
    assert "onnxruntime" not in versions
    assert versions["numpy"] == installed("numpy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_a_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.onnx")
    for command in (["selfcheck"], ["info"], ["predict", ROOT / "examples" / "two.png", "--model"]):
        result = run(*command, tmp_path / "a.onnx")
        assert result.exit_code == 1
        assert "it is a pipe, a device or a socket" in result.stderr
