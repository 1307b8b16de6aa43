"""Recipes, interruption and resumption, from the command line."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.cli.train import AUGMENTATION, SETTINGS
from mnist_edge.training.augment import Augmentation
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.recipe import Recipe
from tests.conftest import DATA


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments), "--data-dir", str(DATA)])


def test_every_setting_of_a_recipe_has_an_option() -> None:
    settings = {field.name for field in dataclasses.fields(Recipe)} - {"name", "augmentation"}
    assert set(SETTINGS) == settings
    assert set(AUGMENTATION) == {field.name for field in dataclasses.fields(Augmentation)}


def test_settings_are_written_into_the_checkpoint(
    few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)
    output = tmp_path / "c.safetensors"
    options = [
        "--recipe",
        "robust",
        "--epochs",
        "1",
        "--batch-size",
        "500",
        "--rotation",
        "5",
        "--lr-schedule",
        "constant",
    ]
    result = run(*options, "--output", output, "--curves", tmp_path / "curves.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    recipe = load_checkpoint(output).recipe
    assert (recipe.name, recipe.epochs, recipe.batch_size, recipe.lr_schedule) == ("robust", 1, 500, "constant")
    assert f"of the {len(few.validation):,} validation images" in result.stdout
    assert recipe.augmentation.rotation == 5
    assert recipe.augmentation.stroke_jitter > 0
    assert not output.with_name("c.safetensors.resume").exists()


PROGRAM = """
from mnist_edge.cli import main
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData

load = registry.load_training_data

def load_few(*arguments):
    data = load(*arguments)
    train = Split(data.train.images[:8000], data.train.labels[:8000])
    return TrainingData(train=train, validation=data.validation, digest=data.digest)

registry.load_training_data = load_few
main()
"""
"""The command line, but that a training has 8,000 images."""


def command(output: Path, *options: str) -> list[str]:
    arguments = ["train", "--recipe", "robust", "--epochs", "6", "--batch-size", "512"]
    return [sys.executable, "-c", PROGRAM, *arguments, "--output", str(output), "--data-dir", str(DATA), *options]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of the same training when nothing stops it."""
    path = tmp_path_factory.mktemp("uninterrupted") / "whole"
    subprocess.run(command(path), check=True, capture_output=True)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_training_continues_to_the_same_bytes(
    how: signal.Signals, uninterrupted: bytes, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    process = subprocess.Popen(command(stopped), stderr=subprocess.PIPE, text=True)
    saved = stopped.with_name("stopped.resume")
    while not saved.exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, how)
    _, stderr = process.communicate(timeout=60)
    assert not stopped.exists()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "continue with the same command and --resume" in stderr
        assert "Traceback" not in stderr

    for options, message in (
        (["--seed", "1", "--resume"], "the interrupted training is another one"),
        ([], "holds an interrupted training: continue it with --resume"),
    ):
        done = subprocess.run(command(stopped, *options), check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert message in done.stderr
        assert saved.exists()
    subprocess.run(command(stopped, "--resume"), check=True, capture_output=True)
    assert stopped.read_bytes() == uninterrupted
    assert not saved.exists()


def test_resuming_what_was_not_interrupted_is_one_line(tmp_path: Path) -> None:
    result = run("--resume", "--output", tmp_path / "c")
    assert result.exit_code == 1
    assert "no interrupted training" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_figure_of_an_unknown_kind_is_refused_before_the_work(tmp_path: Path) -> None:
    result = run("--output", tmp_path / "c", "--curves", tmp_path / "curves.pdf")
    assert result.exit_code == 2
    assert "does not end in .png or .svg" in result.stderr
    assert list(tmp_path.iterdir()) == []
