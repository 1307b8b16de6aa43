"""A network of the user's own on the command line: its code is run where `--arch` names it, and nowhere else."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.parity import reference as references
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA

NET = "tests/training/architectures/own_networks.py:Residual"


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def checkpoint(few: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "net.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load_training_data", lambda *_: few)
        result = run("train", "--arch", NET, "--epochs", 1, "--batch-size", 100, "--data-dir", DATA, "-o", path)
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def few_images(few: TrainingData, test_data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Split(test_data.images[:200], test_data.labels[:200])
    for module in (references, registry):
        monkeypatch.setattr(module, "load_test_data", lambda *_: part)
        monkeypatch.setattr(module, "load_training_data", lambda *_: few)


def test_a_checkpoint_records_the_name_alone(checkpoint: Path) -> None:
    assert load_checkpoint(checkpoint).architecture == "own_networks.py:Residual"
    assert b"tests/training" not in checkpoint.read_bytes()


def test_the_same_seed_gives_the_same_bytes(
    checkpoint: Path, few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)
    again = tmp_path / "again.safetensors"
    run("train", "--arch", NET, "--epochs", 1, "--batch-size", 100, "--data-dir", DATA, "-o", again)
    assert again.read_bytes() == checkpoint.read_bytes()


@pytest.mark.usefixtures("few_images")
def test_a_residual_network_is_exported_with_proof(checkpoint: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    formats = ("--format", "onnx", "--format", "torchscript", "--format", "torch-export")
    result = run("export", checkpoint, "--arch", NET, *formats, "--quantize", "-o", exports)
    assert result.exit_code == 0, result.output
    stem = "mnist-residual"
    names = {path.name for path in exports.iterdir()}
    assert {f"{stem}.onnx", f"{stem}-int8.onnx", f"{stem}.pt", f"{stem}-int8.pt", f"{stem}.pt2"} < names
    result = run("verify", exports / f"{stem}.onnx", "--layers", "--checkpoint", checkpoint, "--arch", NET)
    assert result.exit_code == 0, result.output
    assert "not available for this network" in result.stderr
    result = run("evaluate", checkpoint, exports / f"{stem}.onnx", "--arch", NET)
    assert result.exit_code == 0, result.output
    assert run("info", checkpoint).exit_code == 0
    assert run("predict", "examples/seven.png", "--model", exports / f"{stem}.onnx").exit_code in (0, 3)


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("command", ["export", "verify", "evaluate", "plot"])
def test_code_is_asked_for_again(command: str, checkpoint: Path, tmp_path: Path) -> None:
    arguments: dict[str, tuple[str | Path, ...]] = {
        "export": (checkpoint, "-o", tmp_path),
        "verify": (tmp_path / "x.onnx", "-c", checkpoint),
        "evaluate": (checkpoint,),
        "plot": ("confusion", checkpoint, "-o", tmp_path / "a.png"),
    }
    result = run(command, *arguments[command])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--arch path/to/own_networks.py:Residual" in result.stderr.splitlines()[-1]
    result = run(command, *arguments[command], "--arch", NET.replace("Residual", "flat"))
    assert result.exit_code == 1
    assert f"do not fit its architecture '{NET.replace('Residual', 'flat')}'" in result.stderr.splitlines()[-1]


def test_an_architecture_that_is_no_name_is_a_usage_error() -> None:
    result = run("train", "--arch", "rnn")
    assert result.exit_code == 2
    assert "'rnn' is not one of mlp, cnn, path/to/net.py:Net, package.module:Net" in result.stderr


def test_code_for_a_checkpoint_that_needs_none_is_one_line(tmp_path: Path) -> None:
    result = run("export", "release/mnist-mlp.safetensors", "--arch", NET, "-o", tmp_path)
    assert result.exit_code == 1
    assert "leave out --arch" in result.stderr
