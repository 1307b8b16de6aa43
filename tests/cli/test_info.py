"""`mnist-edge info`: what a file is and where it comes from."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.training.checkpoint import Checkpoint
from tests.conftest import RELEASED
from tests.formats.onnx.foreign_models import flat_mlp


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["info", *map(str, arguments)])


@pytest.mark.slow
def test_info_shows_contract_provenance_and_structure(exported: list[Artifact]) -> None:
    for artifact in exported:
        result = run(artifact.path, "--json")
        assert result.exit_code == 0, result.output
        shown = json.loads(result.stdout)
        assert shown["file"]["sha256"] == artifact.sha256
        assert shown["file"]["checksum"] == "correct"
        assert shown["file"]["format"] == artifact.format
        assert shown["contract"]["scheme"] == artifact.contract.scheme
        assert shown["contract"]["task"]["name"] == "mnist"
        assert shown["provenance"]["checkpoint"] == artifact.contract.checkpoint
        assert shown["test_vectors"]["images"] == 25
        lines = run(artifact.path).stdout.splitlines()
        assert f"  precision: {artifact.contract.precision}" in lines
        if FORMATS[artifact.format].readable_weights:
            assert shown["structure"]["parameters"] == 109_386
            assert "  parameters: 109386" in lines
            assert sum("relu" in operator.lower() for operator in shown["structure"]["operators"]) == 1


def test_info_of_a_checkpoint() -> None:
    shown = json.loads(run(RELEASED, "--json").stdout)
    assert shown["structure"]["parameters"] == 109_386
    assert shown["recipe"]["name"] == "robust"
    assert shown["task"]["name"] == "mnist"
    assert shown["provenance"]["seed"] == 0


def test_info_of_what_is_neither_is_one_line(tmp_path: Path, exports: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    for path in (tmp_path / "a.onnx", tmp_path / "missing.onnx", exports / "manifest.json"):
        result = run(path)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1


def test_info_of_what_is_not_ours_names_every_suffix(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_bytes(b"root")
    message = run(tmp_path / "passwd").stderr
    for suffix in (".onnx (onnx)", ".pt (torchscript)", ".pt2 (torch-export)", ".safetensors (checkpoint)"):
        assert suffix in message


def test_info_of_a_file_of_somebody_else_says_what_can_be_said(released: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(flat_mlp(released, last="Hardmax"))
    result = run(path)
    assert result.exit_code == 0, result.output
    for line in (
        "  producer: another\\x1b[31m tool 9",
        "  opsets",
        "    ai.onnx: 17",
        "  pixels: float32 [batch, 784]",
        "    Gemm: 3",
        "  parameters: 109386",
    ):
        assert line in result.stdout.splitlines()
    assert "not made by `mnist-edge export`: labels, range, polarity and normalization are not known" in result.stdout
    assert "runs_here: it has the operator 'Hardmax'" in result.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.onnx")
    result = run(tmp_path / "a.onnx")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
