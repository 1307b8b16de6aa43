"""`plot`, `evaluate --corruptions` and `tune`."""

import dataclasses
import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mnist_edge.cli import main
from mnist_edge.cli.evaluate import _print_corrupted
from mnist_edge.cli.plot import KINDS, OF_MODELS
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA, RELEASED
from tests.training.datasets.picture_folders import COLORS, write_colors


def run(*arguments: str | Path) -> Result:
    where = () if "curves" in arguments else ("--data-dir", str(DATA))
    return CliRunner().invoke(main, [*map(str, arguments), *where])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_can_be_drawn_of_a_checkpoint(kind: str, tmp_path: Path) -> None:
    output = tmp_path / "new" / f"{kind}.png"
    result = run("plot", kind, *([RELEASED] if kind in OF_MODELS else []), "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}\n"
    with Image.open(output) as figure:
        assert min(figure.size) > 300


def test_figures_of_an_exported_file(exported: list[Artifact], tmp_path: Path) -> None:
    result = run("plot", "confusion", exported[1].path, "--output", tmp_path / "c.svg")
    assert result.exit_code == 0, result.output
    assert "<svg" in (tmp_path / "c.svg").read_text()
    result = run("plot", "curves", exported[1].path, "--output", tmp_path / "d.png")
    assert result.exit_code == 1
    assert "does not know how it was trained" in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["samples", "a.onnx"], "[MODEL]"),
        (["samples", "--recipe", "plain"], "--recipe"),
        (["confusion", "--index", "3"], "--index"),
        (["curves", "--seed", "2"], "--seed"),
        (["curves", "--arch", "net.py:Net"], "--arch"),
        (["curves", "--dataset", "mnist"], "--dataset"),
        (["curves", "--data-dir", "data"], "--data-dir"),
        (["augmentation", "--arch", "net.py:Net"], "--arch"),
    ],
)
def test_what_means_nothing_for_a_figure_is_a_usage_error(words: list[str], hint: str, tmp_path: Path) -> None:
    result = run("plot", *words, "--output", tmp_path / "a.png")
    assert result.exit_code == 2
    assert f"'{hint}' means nothing for {words[0]}: leave it out." in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", ["$5^^$", "お"])
@pytest.mark.parametrize("kind", ["samples", "augmentation"])
def test_labels_that_are_formulas_or_have_no_glyph_are_drawn(
    kind: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_colors(tmp_path / "icons", 4)
    for name in COLORS:
        (tmp_path / "icons" / name).rename(tmp_path / "icons" / f"{label}{name}")
    options = ("--recipe", "photos") if kind == "augmentation" else ()
    result = CliRunner().invoke(main, ["plot", kind, "--dataset", "icons", *options, "-o", "a.png"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_index_beyond_the_images_is_a_usage_error(tmp_path: Path) -> None:
    result = run("plot", "augmentation", "--index", "55000", "--output", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "55000 is not in the range 0<=x<=54999" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_an_unknown_data_set_is_one_line(released: Checkpoint, tmp_path: Path) -> None:
    other = dataclasses.replace(released, data=dataclasses.replace(released.data, dataset="emnist"))
    save_checkpoint(tmp_path / "c.safetensors", other)
    result = run("plot", "mistakes", tmp_path / "c.safetensors", "--output", tmp_path / "m.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: unknown data set 'emnist': expected one of mnist, fashion-mnist, ")


def test_a_checkpoint_that_does_not_fit_its_data_set_is_one_line(released: Checkpoint, tmp_path: Path) -> None:
    """Its weights fit its task, but the images of MNIST do not."""
    task = dataclasses.replace(released.task, input=dataclasses.replace(released.task.input, shape=(1, 14, 56)))
    save_checkpoint(tmp_path / "c.safetensors", dataclasses.replace(released, task=task))
    result = run("plot", "mistakes", tmp_path / "c.safetensors", "--output", tmp_path / "m.png")
    assert result.exit_code == 1
    assert result.stderr == "Error: the checkpoint is for images of 1×14×56 and 10 labels, mnist has 1×28×28 and 10\n"


def test_curves_of_a_checkpoint_without_epochs_are_one_line(released: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", dataclasses.replace(released, history=()))
    result = run("plot", "curves", tmp_path / "c.safetensors", "--output", tmp_path / "c.png")
    assert result.exit_code == 1
    assert "has no epochs to draw" in result.stderr


@pytest.mark.slow
def test_corruptions_of_a_checkpoint_and_an_exported_file(
    exported: list[Artifact], test_data: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Split(test_data.images[:2_000], test_data.labels[:2_000])
    monkeypatch.setattr(registry, "load_test_data", lambda *_: part)
    models = [RELEASED, exported[0].path]
    result = run("evaluate", *models, "--corruptions", "--figure", tmp_path / "f.png", "--json")
    assert result.exit_code == 0, result.output
    trained, onnx = (entry["accuracy"] for entry in json.loads(result.stdout))
    assert trained == onnx
    assert len(trained) == 11
    for row in trained.values():
        assert row[0] > row[-1]
        assert row[0] > 0.5
    assert (tmp_path / "f.png").exists()


def test_models_whose_paths_look_alike_have_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    measured = {f"{'a' * 60}/{number}/{'b' * 60}": {"rotate": [1.0] * 5} for number in (1, 2)}
    monkeypatch.setattr("mnist_edge.training.figures.robustness_figure", drawn.extend)
    monkeypatch.setattr("mnist_edge.training.figures.save_figure", lambda *_: None)
    _print_corrupted(measured, tmp_path / "a.png", as_json=True)
    assert [name[:4] for name in drawn] == ["1: a", "2: a"]


def test_a_figure_without_corruptions_is_a_usage_error() -> None:
    assert run("evaluate", RELEASED, "--figure", "a.png").exit_code == 2


@pytest.mark.slow
def test_tuning_resumes_and_its_best_can_be_trained_with_the_printed_command(
    few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)
    storage = f"sqlite:///{tmp_path / 'new' / 'study.db'}"
    options = ["--storage", storage, "--recipe", "plain", "--epochs", "1", "--json"]
    first = run("tune", "--trials", "3", *options)
    assert first.exit_code == 0, first.output
    assert first.stderr.count("trial ") == 3
    second = run("tune", "--trials", "2", *options, "--figure", tmp_path / "importance.png")
    assert second.exit_code == 0, second.output
    assert "trial 4:" in second.stderr
    tried = [
        line.partition("  ")[2] for line in (first.stderr + second.stderr).splitlines() if line.startswith("trial")
    ]
    assert len(set(tried)) == 5
    other = run("tune", "--trials", "1", *options, "--arch", "cnn")
    assert other.exit_code == 1
    assert "give this one another --study" in other.stderr
    assert (tmp_path / "importance.png").exists()
    best = json.loads(second.stdout)
    assert best["accuracy"] >= json.loads(first.stdout)["accuracy"]

    words = shlex.split(best["train"])
    assert words[:2] == ["mnist-edge", "train"]
    output = tmp_path / "best.safetensors"
    trained = run(*words[1:], "--epochs", "1", "--output", output)
    assert trained.exit_code == 0, trained.output
    assert load_checkpoint(output).history[0].accuracy == pytest.approx(best["accuracy"], abs=1e-9)


@pytest.mark.slow
def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    result = run("tune", "--trials", "0", "--storage", "nowhere://x")
    assert result.exit_code == 1
    assert "cannot open the storage" in result.stderr
    result = run("tune", "--trials", "0", "--storage", f"sqlite:///{tmp_path / 'empty.db'}")
    assert result.exit_code == 1
    assert "no finished trial yet" in result.stderr
