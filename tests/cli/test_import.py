"""A network of the tutorials, from its `state_dict` to the reading of a picture."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.parity import reference as references
from mnist_edge.training.architectures.own import load_architecture
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA, ROOT
from tests.training import classic

NET = "tests/training/classic.py"


@pytest.fixture(autouse=True)
def few_images(few: TrainingData, test_data: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    part = Split(test_data.images[:300], test_data.labels[:300])
    for module in (references, registry):
        monkeypatch.setattr(module, "load_test_data", lambda *_: part)
        monkeypatch.setattr(module, "load_training_data", lambda *_: few)


@pytest.fixture(scope="module")
def net(few: TrainingData) -> classic.Net:
    return classic.train(few.train.images, few.train.labels)


@pytest.fixture(scope="module")
def weights(net: classic.Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classic") / "mnist_cnn.pt"
    torch.save(net.state_dict(), path)
    return path


def run(*arguments: str | Path | float) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def import_weights(weights: Path, output: Path, *more: str | float, arch: str = f"{NET}:Net") -> Result:
    return run("import", weights, "--arch", arch, "-o", output, "--data-dir", DATA, *more)


@pytest.mark.slow
def test_the_classic_is_imported_exported_with_proof_and_reads_a_picture(
    weights: Path, net: classic.Net, test_data: Split, tmp_path: Path
) -> None:
    checkpoint, exports = tmp_path / "classic.safetensors", tmp_path / "exports"
    normalized = ("--mean", classic.MEAN, "--std", classic.STD)
    result = import_weights(weights, checkpoint, *normalized, "--license", "BSD-3-Clause", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    images, labels = test_data.images[:300], test_data.labels[:300]
    with torch.no_grad():
        expected = net((images - classic.MEAN) / classic.STD)
        logits = load_checkpoint(checkpoint).with_own(load_architecture(f"{NET}:Net")).build()(images)
    assert found["test"]["correct"] == int((expected.argmax(dim=1) == labels).sum()) > 265
    assert (logits - expected).abs().max() < 1e-4
    assert found["energy_threshold"] == 0  # the energy of log-probabilities says nothing
    assert found["margin_threshold"] > 0
    assert load_checkpoint(checkpoint).recipe is None

    result = run("export", checkpoint, "--arch", f"{NET}:Net", "-o", exports)
    assert result.exit_code == 0, result.output
    model = exports / "mnist-net.onnx"
    result = run(
        "verify", model, "-c", checkpoint, "--arch", f"{NET}:Net", "--json", "--baseline", exports / "manifest.json"
    )
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)
    assert {check["code"]: check["verdict"] for check in report["checks"]}["weights"] == "ok"
    assert report["baseline"]["accuracy_change"] == 0
    result = run("predict", "examples/seven.png", "examples/three.jpg", "--model", model, "--format", "json")
    assert result.exit_code == 0, result.output
    assert [answer["digit"] for answer in json.loads(result.stdout)] == [7, 3]
    result = run("info", checkpoint)
    assert result.exit_code == 0, result.output
    assert "name: none: trained elsewhere" in result.stdout
    assert json.loads(run("info", model, "--json").stdout)["provenance"]["license"] == "BSD-3-Clause"
    assert run("selfcheck", model).exit_code == 0


@pytest.mark.slow
def test_numbers_that_do_not_belong_to_it_are_pointed_out(weights: Path, tmp_path: Path) -> None:
    result = import_weights(weights, tmp_path / "a.safetensors", "--mean", 3, "--std", 1)
    assert result.exit_code == 0, result.output
    doubt = result.stderr.splitlines()[0]
    assert "is hardly better than guessing: was the network trained on other images, in another order" in doubt
    assert "of the 300 test images" in result.stdout
    checkpoint, exports = tmp_path / "a.safetensors", tmp_path / "exports"
    for command in (("export", checkpoint, "-o", exports), ("verify", exports, "-c", checkpoint)):
        result = run(*command, "--arch", f"{NET}:Net")
        assert result.exit_code == 0, result.output
        assert doubt in result.stderr


@pytest.mark.parametrize(
    ("arch", "more", "message"),
    [
        ("Net", ("--mean", "0", "--std", "0"), "the standard deviation is 0, expected more than 0"),
        ("Net", ("--mean", "0.1,0.2", "--std", "1"), "there are 2 numbers for the mean, expected 1"),
        ("Probabilities", (), "gives probabilities, expected logits"),
        ("NotANumber", ("--mean", "0", "--std", "0.3"), "gives logits that are not finite numbers for "),
        ("Raises", (), "raises ValueError (too many)"),
        ("Missing", (), "has no 'Missing'"),
    ],
)
def test_a_network_that_can_not_be_used_is_one_line(
    arch: str, more: tuple[str, ...], message: str, weights: Path, tmp_path: Path
) -> None:
    result = import_weights(weights, tmp_path / "a.safetensors", *more, arch=f"{NET}:{arch}")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_logits_that_give_no_energy_are_pointed_out(more: tuple[str, ...], weights: Path, tmp_path: Path) -> None:
    result = import_weights(weights, tmp_path / "a.safetensors", *more, arch=f"{NET}:Net")
    assert result.exit_code == 0, result.output
    assert result.stderr.endswith(
        "say nothing of how unusual an image is: answers are uncertain by their margin alone\n"
    )
    assert bool(more) == result.stdout.startswith("{")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--mean", 0.1), "Error: --mean goes with --std: give --std too; 1 if the images were only centered."),
        (("--std", 0.3), "Error: --std goes with --mean: give --mean too; 0 if the images were only scaled."),
    ],
)
def test_a_mean_goes_with_a_deviation(given: tuple[str, float], message: str, weights: Path, tmp_path: Path) -> None:
    result = import_weights(weights, tmp_path / "a.safetensors", *given)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == message


def test_numbers_that_are_none_are_a_usage_error(weights: Path, tmp_path: Path) -> None:
    for value in ("nan", "a", "0.1,,0.2", "", "0.485 0.456 0.406", "[0.485, 0.456, 0.406]", "0.1,inf"):
        result = import_weights(weights, tmp_path / "a.safetensors", "--mean", value)
        assert result.exit_code == 2
        expected = "expected one number, or one for each channel, separated by commas: 0.485,0.456,0.406"
        assert result.stderr.splitlines()[-1] == f"Error: Invalid value for '--mean': {value!r}, {expected}"
    for value in ("", "MIT */ int evil;", "MIT\nGPL", "x" * 201):
        assert import_weights(weights, tmp_path / "a.safetensors", "--license", value).exit_code == 2
