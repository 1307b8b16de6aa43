"""A network of the user's own on the command line: its code is run where `--arch` names it, and nowhere else."""

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import edge, export, main
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity import reference as references
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA, ROOT

NET = f"{ROOT}/tests/training/architectures/own_networks.py:flat"

OTHER = NET.replace("flat", "Residual")


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
    assert load_checkpoint(checkpoint).architecture == "own_networks.py:flat"
    assert b"/own_networks" not in checkpoint.read_bytes()


def test_the_same_seed_gives_the_same_bytes(
    checkpoint: Path, few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)
    again = tmp_path / "again.safetensors"
    run("train", "--arch", NET, "--epochs", 1, "--batch-size", 100, "--data-dir", DATA, "-o", again)
    assert again.read_bytes() == checkpoint.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_what_a_network_prints_is_not_among_the_results(tmp_path: Path) -> None:
    net, path = tmp_path / "net.py", tmp_path / "net.safetensors"
    net.write_text(
        "from torch import nn\nprint('read')\nclass Net(nn.Linear):\n def __init__(self):\n"
        "  super().__init__(784, 10)\n  print('made')\n"
        " def forward(self, x):\n  print('run')\n  return super().forward(x)\n"
    )
    results = [
        run("train", "--arch", f"{net}:Net", "--epochs", 1, "--batch-size", 500, "-o", path, "--json"),
        run("export", path, "--arch", f"{net}:Net", "-o", tmp_path / "exports", "--json"),
        run("verify", tmp_path / "exports" / "mnist-net.onnx", "--checkpoint", path, "--arch", f"{net}:Net", "--json"),
        run("evaluate", path, "--arch", f"{net}:Net", "--json"),
    ]
    for result in results:
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)
        assert {"read", "made", "run"} <= set(result.stderr.split())


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_of_all_formats_those_that_cannot_hold_it_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    run("train", "--arch", OTHER, "--epochs", 1, "--batch-size", 100, "--data-dir", DATA, "-o", path)
    result = run("export", path, "--arch", OTHER, "--format", "all", "--json", "-o", tmp_path / "exports")
    assert result.exit_code == 0, result.output
    chains = {name for name, spec in FORMATS.items() if spec.chains_only}
    assert [entry["format"] for entry in json.loads(result.stdout)] == [name for name in FORMATS if name not in chains]
    assert "\nc is left out: cannot write " in f"\n{result.stderr}"
    result = run("export", path, "--arch", OTHER, "--format", "c", "-o", tmp_path / "exports")
    assert result.exit_code == 1
    assert "Error: cannot write " in result.stderr


CONVOLUTION = """
from torch import nn

def net(num_classes):
    return nn.Sequential(nn.Conv2d(1, num_classes, 28), nn.Flatten())
"""


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_of_all_formats_a_precision_that_one_cannot_make_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_chosen", lambda _: [FORMATS["onnx"], FORMATS["torchscript"]])
    net, path, exports = tmp_path / "net.py", tmp_path / "net.safetensors", tmp_path / "exports"
    net.write_text(CONVOLUTION)
    run("train", "--arch", f"{net}:net", "--epochs", 1, "--batch-size", 100, "-o", path)
    result = run("export", path, "--arch", f"{net}:net", "--format", "all", "--quantize", "-o", exports, "--json")
    assert result.exit_code == 0, result.output
    files = [entry["file"] for entry in json.loads(result.stdout)]
    assert files == ["mnist-net.onnx", "mnist-net-int8.onnx", "mnist-net.pt"]
    assert "\nmnist-net-int8.pt is left out: torchscript has no int8 for this network" in f"\n{result.stderr}"
    named = run("export", path, "--arch", f"{net}:net", "--format", "torchscript", "--quantize", "-o", exports)
    assert named.exit_code == 1
    assert named.stderr.startswith("Error: torchscript has no int8 for this network")


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_it_is_exported_with_proof_and_read_with(checkpoint: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    result = run("export", checkpoint, "--arch", NET, "-o", exports)
    assert result.exit_code == 0, result.output
    artifact = exports / "mnist-flat.onnx"
    result = run("verify", artifact, "--layers", "--checkpoint", checkpoint, "--arch", NET)
    assert result.exit_code == 0, result.output
    result = run("evaluate", checkpoint, artifact, "--arch", NET)
    assert result.exit_code == 0, result.output
    parameters = 784 * 32 + 32 + 2 * 32 + 32 * 10 + 10
    assert f"parameters: {parameters}" in run("info", checkpoint).stdout
    assert run("predict", ROOT / "examples" / "seven.png", "--model", artifact).exit_code in (0, 3)


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
    assert "--arch path/to/own_networks.py:flat" in result.stderr.splitlines()[-1]
    result = run(command, *arguments[command], "--arch", OTHER)
    assert result.exit_code == 1
    assert f"do not fit its architecture '{OTHER}'" in result.stderr.splitlines()[-1]


def test_an_architecture_that_is_no_name_is_a_usage_error() -> None:
    result = run("train", "--arch", "rnn")
    assert result.exit_code == 2
    assert "'rnn' is not one of mlp, cnn, path/to/net.py:Net, package.module:Net" in result.stderr


def test_code_for_a_checkpoint_that_needs_none_is_one_line(tmp_path: Path) -> None:
    result = run("export", ROOT / "release" / "mnist-mlp.safetensors", "--arch", NET, "-o", tmp_path)
    assert result.exit_code == 1
    assert "leave out --arch" in result.stderr


@pytest.mark.usefixtures("few_images")
def test_what_a_network_raises_in_training_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("train", "--arch", NET, "--epochs", 1, "--batch-size", 1, "-o", "a.safetensors", "--quiet")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {NET} raises ValueError (Expected more than 1 value per channel when training")
    assert line.endswith(" in training")


STOPPED = """
import os, signal
from torch import nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(784, 10)
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        if self.calls > 1:  # the first is the trial of a new network
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(x)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("command", ["train", "tune"])
def test_sigterm_in_training_is_not_blamed_on_the_network(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(STOPPED)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        edge.end_on_sigterm()
        result = run(command, "--arch", "net.py:Net", "--epochs", 1, "--data-dir", DATA, "--quiet")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (result.exit_code, result.stderr) == (143, "")
