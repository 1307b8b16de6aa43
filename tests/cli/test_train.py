"""Recipes, interruption and resumption, from the command line."""

import csv
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mnist_edge.cli import main
from mnist_edge.cli.recipe_options import AUGMENTATION, SETTINGS
from mnist_edge.training import loop
from mnist_edge.training.augment import Augmentation
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets import registry
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.files import resume_path
from mnist_edge.training.recipe import Recipe
from mnist_edge.training.train_state import Epoch, TrainState
from tests import warm
from tests.conftest import DATA, RELEASED, RELEASES

OnStep = Callable[[loop.StepResult], None]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments), "--data-dir", str(DATA)])


def test_every_setting_of_a_recipe_has_an_option() -> None:
    settings = {field.name for field in dataclasses.fields(Recipe)} - {"name", "augmentation"}
    assert set(SETTINGS) == settings
    assert set(AUGMENTATION) == {field.name for field in dataclasses.fields(Augmentation)}


@pytest.mark.slow
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
    assert recipe is not None
    assert (recipe.name, recipe.epochs, recipe.batch_size, recipe.lr_schedule) == ("robust", 1, 500, "constant")
    assert f"of the {len(few.validation):,} validation images" in result.stdout
    assert recipe.augmentation.rotation == 5
    (row,) = csv.DictReader((tmp_path / "c.csv").read_text().splitlines())
    (epoch,) = load_checkpoint(output).history
    assert row == {
        "epoch": "1",
        "train_loss": str(epoch.loss),
        "validation_accuracy": str(epoch.accuracy),
        "learning_rate": str(recipe.learning_rate * recipe.learning_rate_share_at(3, 4)),
    }
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


def command(output: Path, *options: str, python: Sequence[str] = warm.PYTHON) -> list[str]:
    arguments = ["train", "--recipe", "robust", "--epochs", "3", "--batch-size", "512"]
    return [*python, "-c", PROGRAM, *arguments, "--output", str(output), "--data-dir", str(DATA), *options]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of the same training when nothing stops it."""
    path = tmp_path_factory.mktemp("uninterrupted") / "whole.safetensors"
    subprocess.run(command(path), check=True, capture_output=True)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "python"), [(signal.SIGINT, warm.PYTHON), (signal.SIGKILL, (sys.executable,))])
def test_an_interrupted_training_continues_to_the_same_bytes(
    how: signal.Signals, python: Sequence[str], uninterrupted: bytes, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped.safetensors"
    process = subprocess.Popen(command(stopped, python=python), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    saved, stderr = resume_path(stopped), ""
    while process.poll() is None and not stderr.startswith("epoch 1/"):  # which is printed when it has been saved
        stderr = process.stderr.readline()
    os.kill(process.pid, how)
    stderr = process.stderr.read()
    process.wait(timeout=60)
    process.stderr.close()
    assert not stopped.exists()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "continue with the same command and --resume" in stderr
        assert "Traceback" not in stderr

    subprocess.run(command(stopped, "--resume"), check=True, capture_output=True)
    assert stopped.read_bytes() == uninterrupted
    assert not saved.exists()


@pytest.mark.slow
def test_one_thread_and_two_give_the_same_bytes(tmp_path: Path) -> None:
    for threads in ("1", "2"):
        output = tmp_path / f"{threads}.safetensors"
        training = command(output, "--epochs", "1", "--threads", threads)
        subprocess.run(training, check=True, capture_output=True)
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


SHORT = ("--epochs", "3", "--batch-size", "500", "--lr-schedule", "cosine")
"""A training of three short epochs, of which some are interrupted."""


def interrupted_after(epochs: int, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Result:
    """Run a training that Ctrl-C ends in the epoch after so many."""
    train_epoch = loop.train_epoch

    def interrupt(state: TrainState, data: TrainingData, on_step: OnStep, teachers: list[nn.Module]) -> Epoch:
        if len(state.history) == epochs:
            raise KeyboardInterrupt
        return train_epoch(state, data, on_step, teachers)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", interrupt)
        return run(*arguments)


@pytest.fixture
def few_images(few: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_training_data", lambda *_: few)


@pytest.mark.usefixtures("few_images")
def test_the_messages_about_an_interrupted_training_lead_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, output = tmp_path / "whole.safetensors", tmp_path / "a b.safetensors"
    assert run(*SHORT, "-o", whole).exit_code == 0
    stopped = interrupted_after(1, monkeypatch, *SHORT, "-o", output)
    assert (stopped.exit_code, stopped.stderr.splitlines()[-1]) == (
        130,
        "stopped in epoch 2: continue with the same command and --resume",
    )
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("a b")] == ["a b.safetensors.resume"]

    without = run(*SHORT, "-o", output)
    assert without.exit_code == 1
    assert f"there is an interrupted training of {output} (1 of 3 epochs)" in without.stderr
    other = run("--epochs", "4", "--batch-size", "500", "--seed", "1", "-o", output, "--resume")
    assert other.exit_code == 1
    named = "(--seed 0, not 1; --epochs 3, not 4; --lr-schedule cosine, not as in the recipe)"
    assert f"the interrupted training has other options {named}" in other.stderr
    commands = [re.findall("`mnist-edge train (.*)`", result.stderr)[0] for result in (without, other)]
    assert len(set(commands)) == 1
    assert CliRunner().invoke(main, ["train", *shlex.split(commands[0])]).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    assert output.with_suffix(".csv").read_bytes() == whole.with_suffix(".csv").read_bytes()


def test_the_batches_that_few_images_were_given_are_named(
    few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred images are learned in batches of 10 unless 32 are asked for, which the recipe has for many."""
    part = Split(few.train.images[:100], few.train.labels[:100])
    monkeypatch.setattr(registry, "load_training_data", lambda *_: dataclasses.replace(few, train=part))
    for chosen in ((), ("--batch-size", "32")):
        whole, output = (tmp_path / f"{name}{len(chosen)}.safetensors" for name in ("whole", "stopped"))
        assert run("--epochs", "3", *chosen, "-o", whole).exit_code == 0
        interrupted_after(1, monkeypatch, "--epochs", "3", *chosen, "-o", output)
        (command,) = re.findall("`mnist-edge train (.*)`", run("--epochs", "3", *chosen, "-o", output).stderr)
        result = CliRunner().invoke(main, ["train", *shlex.split(command)])
        assert result.exit_code == 0, result.stderr
        assert output.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("few_images")
def test_the_curves_of_a_training_that_had_all_its_epochs_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, curves = tmp_path / "a.safetensors", tmp_path / "curves.png"
    with monkeypatch.context() as patch:
        patch.setattr("mnist_edge.training.checkpoint.make_checkpoint", lambda *_: sys.exit(130))
        assert run(*SHORT, "-o", output).exit_code == 130
    result = run(*SHORT, "-o", output, "--resume", "--curves", curves)
    assert result.exit_code == 0, result.output
    assert curves.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("few_images")
def test_the_curves_are_drawn_once_an_epoch_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr("mnist_edge.cli.train.SECONDS_BETWEEN_CURVES", 0.0)
    monkeypatch.setattr("mnist_edge.training.figures.curves_figure", lambda history: drawn.append(len(history)))
    monkeypatch.setattr("mnist_edge.training.figures.save_figure", lambda *_: None)
    assert run(*SHORT, "-o", tmp_path / "a.safetensors", "--curves", tmp_path / "a.png").exit_code == 0
    assert drawn == [1, 2, 3]


@pytest.mark.usefixtures("few_images")
def test_a_training_without_curves_imports_nothing_that_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "mnist_edge.training.figures"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(*SHORT, "--epochs", "1", "-o", tmp_path / "a.safetensors").exit_code == 0
    assert run(*SHORT, "-o", tmp_path / "b.safetensors", "--curves", tmp_path / "b.png").exit_code == 1


@pytest.mark.usefixtures("few_images")
def test_a_training_of_other_images_is_not_resumed(
    few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.safetensors"
    interrupted_after(1, monkeypatch, *SHORT, "-o", output)
    monkeypatch.setattr(registry, "load_training_data", lambda *_: dataclasses.replace(few, digest="1" * 64))
    assert "(other training images)" in run(*SHORT, "-o", output, "--resume").stderr


@pytest.mark.usefixtures("few_images")
def test_license_and_threads_belong_to_an_interrupted_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "a.safetensors"
    interrupted_after(1, monkeypatch, *SHORT, "-o", output, "--license", "CC-BY-4.0", "--threads", "2")
    other = run(*SHORT, "-o", output, "--license", "MIT", "--resume")
    assert other.exit_code == 1
    assert "has other options (--license CC-BY-4.0, not MIT)" in other.stderr
    assert "--threads 2" in other.stderr
    (command,) = re.findall("`mnist-edge train (.*)`", other.stderr)
    result = CliRunner().invoke(main, ["train", *shlex.split(command)])
    assert result.exit_code == 0, result.stderr
    assert load_checkpoint(output).license == "CC-BY-4.0"


@pytest.mark.usefixtures("few_images")
def test_the_threads_of_a_resumed_mlp_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That its bytes do not depend on them, only a process can show in which MKL was told so before its first use."""
    output = tmp_path / "a.safetensors"
    interrupted_after(1, monkeypatch, *SHORT, "-o", output)
    result = run(*SHORT, "-o", output, "--threads", "2", "--resume")
    assert result.exit_code == 0, result.stderr
    assert [epoch.epoch for epoch in load_checkpoint(output).history] == [1, 2, 3]


def test_the_threads_of_a_resumed_cnn_are_those_that_it_began_with(
    few: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Split(few.train.images[:200], few.train.labels[:200])
    monkeypatch.setattr(registry, "load_training_data", lambda *_: dataclasses.replace(few, train=part))
    options = ("--arch", "cnn", "--recipe", "plain", "--epochs", "2", "-o", tmp_path / "a.safetensors")
    interrupted_after(1, monkeypatch, *options)
    other = run(*options, "--threads", "2", "--resume")
    assert other.exit_code == 1
    assert "has other options (--threads 1, not 2)" in other.stderr


@pytest.mark.usefixtures("few_images")
def test_ctrl_c_in_the_first_epoch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = interrupted_after(0, monkeypatch, *SHORT, "-o", tmp_path / "a.safetensors")
    assert (stopped.exit_code, stopped.stderr) == (130, "stopped in epoch 1: nothing was saved yet\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_images")
def test_an_epoch_is_a_line_and_the_loss_of_steps_is_for_who_asks(tmp_path: Path) -> None:
    def lines(*options: str) -> list[str]:
        result = run("--epochs", "2", "--batch-size", "500", "-o", tmp_path / "a.safetensors", *options)
        assert result.exit_code == 0, result.output
        assert len(result.stdout.splitlines()) == 1
        return [line.partition("  ")[0] for line in result.stderr.splitlines()]

    assert lines() == ["epoch 1/2", "epoch 2/2"]
    assert lines("--log-every", "2") == ["epoch 1/2"] * 3 + ["epoch 2/2"] * 3
    assert run("--quiet", "--log-every", "2").exit_code == 2
    assert lines("--quiet") == lines("-q") == []


@pytest.mark.usefixtures("few_images")
def test_one_thread_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    train_epoch = loop.train_epoch

    def count(state: TrainState, data: TrainingData, on_step: OnStep, teachers: list[nn.Module]) -> Epoch:
        used.append(torch.get_num_threads())
        return train_epoch(state, data, on_step, teachers)

    monkeypatch.setattr(loop, "train_epoch", count)
    torch.set_num_threads(2)
    try:
        for options in ((), ("--threads", "3")):
            result = run("--epochs", "1", "--batch-size", "500", "-o", tmp_path / "a.safetensors", *options)
            assert result.exit_code == 0, result.output
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert used == [1, 3]
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.usefixtures("few_images")
def test_tensorboard_is_given_each_epoch_also_of_a_resumed_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, log = tmp_path / "a.safetensors", tmp_path / "new" / "log"
    options = (*SHORT, "-o", output, "--log-dir", log)
    interrupted_after(1, monkeypatch, *options)
    result = run(*options, "--resume")
    assert result.exit_code == 0, result.output
    events = EventAccumulator(str(log)).Reload()
    with output.with_suffix(".csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == ["1", "2", "3"]
    tags = {
        "loss/train": "train_loss",
        "accuracy/validation": "validation_accuracy",
        "learning_rate": "learning_rate",
    }
    assert sorted(events.Tags()["scalars"]) == sorted(tags)
    for tag, column in tags.items():
        assert [event.step for event in events.Scalars(tag)] == [1, 2, 3]
        assert [event.value for event in events.Scalars(tag)] == pytest.approx([float(row[column]) for row in table])


@pytest.mark.usefixtures("few_images")
def test_a_log_without_tensorboard_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = run(*SHORT, "-o", tmp_path / "a.safetensors", "--log-dir", tmp_path / "log")
    assert result.exit_code == 1
    assert result.stderr.endswith("is not installed: pip install 'mnist-edge[tensorboard]'\n")
    assert list(tmp_path.iterdir()) == []


def test_resuming_what_was_not_interrupted_is_one_line(tmp_path: Path) -> None:
    result = run("--resume", "--output", tmp_path / "c.safetensors")
    assert result.exit_code == 1
    assert "no interrupted training" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_figure_of_an_unknown_kind_is_refused_before_the_work(tmp_path: Path) -> None:
    result = run("--output", tmp_path / "c.safetensors", "--curves", tmp_path / "curves.pdf")
    assert result.exit_code == 2
    assert "does not end in .png or .svg" in result.stderr
    assert list(tmp_path.iterdir()) == []


DISTILLED = ("--recipe", "distilled", "--epochs", "2", "--batch-size", "1000")


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_a_student_records_its_teachers_and_asks_for_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, whole = tmp_path / "a.safetensors", tmp_path / "whole.safetensors"
    teachers = [word for path in RELEASES.values() for word in ("--teacher", str(path))]
    assert run(*DISTILLED, *teachers, "-o", whole).exit_code == 0
    assert load_checkpoint(whole).teachers == tuple(load_checkpoint(path).digest for path in RELEASES.values())
    assert interrupted_after(1, monkeypatch, *DISTILLED, *teachers, "-o", output).exit_code == 130
    other = run(*DISTILLED, "--teacher", RELEASED, "-o", output, "--resume")
    assert other.exit_code == 1
    assert "the interrupted training has other options (other teachers)" in other.stderr
    named = " ".join(f"--teacher sha256:{digest[:12]}" for digest in load_checkpoint(whole).teachers)
    assert named in other.stderr
    assert run(*DISTILLED, *teachers, "-o", output, "--resume").exit_code == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DISTILLED, "the recipe 'distilled' learns from teachers: name their checkpoints with --teacher"),
        ((*DISTILLED, "--teacher", "missing"), "no checkpoint at missing"),
        ((*DISTILLED, "--distillation-temperature", "0.0005"), "is not in the range x>=0.001"),
        (("--teacher", str(RELEASED)), "the recipe 'plain' learns from no teacher: leave out --teacher"),
    ],
)
def test_teachers_and_recipes_belong_together(options: Sequence[str], message: str, tmp_path: Path) -> None:
    result = run(*options, "-o", tmp_path / "a.safetensors")
    assert (result.exit_code, result.stdout) == (2 if "range" in message else 1, "")
    assert message in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_student_does_not_overwrite_its_teacher(tmp_path: Path) -> None:
    teacher, student = tmp_path / "teacher.safetensors", tmp_path / "student.safetensors"
    teacher.write_bytes(RELEASED.read_bytes())
    student.symlink_to(teacher)
    for output in (teacher, student):
        result = run(*DISTILLED, "--teacher", teacher, "-o", output)
        assert result.exit_code == 1
        assert result.stderr == (
            f"Error: {output} is a teacher, which its student would overwrite: name another --output\n"
        )
    assert teacher.read_bytes() == RELEASED.read_bytes()
