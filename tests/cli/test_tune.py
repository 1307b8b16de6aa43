"""The search from the command line: what it refuses, how it stops, what it counts."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.errors import UserError
from mnist_edge.training import tune
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.train_state import Epoch, TrainState
from tests import warm
from tests.conftest import ROOT
from tests.training.datasets.picture_folders import write_colors


@pytest.fixture(autouse=True)
def few_images(few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["tune", "--recipe", "plain", "--epochs", "1", *arguments])


def test_a_figure_of_too_few_trials_is_refused_before_the_first(tmp_path: Path) -> None:
    result = run("--trials", "3", "--figure", "mattered.png")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 0 finished trials and 3 more do not show what mattered, expected at least 4: run --trials 4 or more\n"
    )
    assert not (tmp_path / "mattered.png").exists()


def test_what_draws_is_imported_for_a_figure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mnist_edge.training.figures", None)
    result = run("--trials", "0")
    assert result.exit_code == 1
    assert "has no finished trial yet" in result.stderr


def test_ctrl_c_is_one_line_and_what_was_interrupted_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupt_the_third(state: TrainState, data: TrainingData) -> Epoch:
        calls.append(state)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train_epoch(state, data)

    with monkeypatch.context() as patch:
        patch.setattr(tune, "train_epoch", interrupt_the_third)
        stopped = run("--trials", "5", "--quiet")
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    assert stopped.stderr == "stopped after 2 of 5 trials: the same command continues the study\n"
    result = run("--trials", "1")
    assert result.exit_code == 0, result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout.startswith("best of 3 trials: ")


def test_a_trial_whose_loss_is_not_finite_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge_first(state: TrainState, data: TrainingData) -> Epoch:
        if not diverged:
            diverged.append(state)
            raise UserError("the loss became inf")
        return train_epoch(state, data)

    diverged: list[TrainState] = []
    monkeypatch.setattr(tune, "train_epoch", diverge_first)
    result = run("--trials", "2")
    assert result.exit_code == 0, result.output
    first, second = result.stderr.splitlines()
    assert first.startswith("trial 0: fail ")
    assert second.startswith("trial 1: complete ")
    assert result.stdout.startswith("best of 1 trials: ")


def printed(result: Result) -> list[str]:
    """Return the words of the command that trains the best trial, after the program's name."""
    assert result.exit_code == 0, result.output
    return shlex.split(result.stdout.splitlines()[-1])[1:]


def test_the_printed_command_trains_the_best_trial(few: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, data_dir: Path) -> TrainingData:
        asked.append((name, data_dir))
        return few

    monkeypatch.setattr(registry, "load_training_data", load)
    result = run("--trials", "1", "--seed", "3", "--data-dir", "my data", "--json")
    found = json.loads(result.stdout)
    trained = CliRunner().invoke(main, [*shlex.split(found["train"])[1:], "--epochs", "1", "-o", "a.safetensors"])
    assert trained.exit_code == 0, trained.output
    checkpoint = load_checkpoint(Path("a.safetensors"))
    assert checkpoint.seed == 3
    assert [epoch.accuracy for epoch in checkpoint.history] == [found["accuracy"]]
    assert asked == [("mnist", Path("my data"))] * 2


def test_the_printed_command_divides_a_folder_as_the_search_did(tmp_path: Path) -> None:
    write_colors(tmp_path / "icons", 6)
    found = printed(run("--trials", "1", "--seed", "2", "--dataset", "icons", "--image-size", "8"))
    (study,) = optuna.get_all_study_summaries("sqlite:///checkpoints/tune.db")
    assert CliRunner().invoke(main, [*found, "--epochs", "1", "-o", "a.safetensors"]).exit_code == 0
    checkpoint = load_checkpoint(Path("a.safetensors"))
    assert checkpoint.data.split_seed == 2
    assert study.best_trial is not None
    assert [epoch.accuracy for epoch in checkpoint.history] == [study.best_trial.value]


SHARED = """
import dataclasses
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split
load = registry.load_training_data
def few(*arguments):
    data = load(*arguments)
    train = Split(data.train.images[:500], data.train.labels[:500])
    validation = Split(data.validation.images[:200], data.validation.labels[:200])
    return dataclasses.replace(data, train=train, validation=validation)
registry.load_training_data = few
from mnist_edge.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["journal:///shared/study.log", "sqlite:///shared/study.db"])
def test_two_processes_share_a_study(storage: str, tmp_path: Path) -> None:
    command = [*warm.PYTHON, "-c", SHARED, "tune", "--recipe", "plain", "--epochs", "1", "--quiet"]
    options = ["--storage", storage, "--data-dir", str(ROOT / "data")]
    both = [subprocess.Popen([*command, "--trials", "3", *options], cwd=tmp_path, text=True) for _ in range(2)]
    assert [each.wait(timeout=300) for each in both] == [0, 0]
    last = subprocess.run(
        [*command, "--trials", "1", *options], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert last.stdout.startswith("best of 7 trials: ")
    assert (tmp_path / storage.partition("///")[2]).is_file()
