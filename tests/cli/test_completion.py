"""What a shell offers after the tab key, asked for as the shell asks."""

import re
import shutil
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from mnist_edge.cli import COMMANDS, main
from mnist_edge.training.datasets.registry import DATASETS

PLACES = "FILE|FOLDER|PICTURE|MODEL|ARTIFACT|REPORT|WEIGHTS|CHECKPOINT"
"""What the help calls files and folders."""


def offered(*words: str) -> list[tuple[str, str]]:
    """Return kind and text of what may take the place of the last word."""
    *before, incomplete = words
    complete = ShellComplete(main, {}, "mnist-edge", "_MNIST_EDGE_COMPLETE")
    return [(item.type, item.value) for item in complete.get_completions(before, incomplete)]


def test_commands_and_their_options_are_offered() -> None:
    assert offered("") == [("plain", name) for name in COMMANDS]
    assert offered("predict", "--vis") == [("plain", "--visualize")]


def test_after_a_mistyped_command_nothing_but_the_common_options_is_offered() -> None:
    assert offered("foo", "") == [("plain", name) for name in COMMANDS]
    assert offered("trian", "--h") == [("plain", "--help")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder one with files, folders and names that a shell must quote."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("mine.py", "cat.onnx", "çà.onnx", "c at.onnx", "c$at.onnx", ".hidden", "ex.png"):
        (folder / name).touch()
    for name in ("mnist-like", "checkpoints", "my pictures"):
        (folder / name).mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("predict", "--model", ""), "mlp cnn cat.onnx checkpoints/ ex.png mine.py mnist-like/ çà.onnx"),
        (("predict", "-m", "c"), "cnn cat.onnx checkpoints/"),
        (("predict", "-m", "cn"), "cnn"),
        (("train", "--arch", "m"), "mlp mine.py mnist-like/"),
        (("train", "--dataset", "mn"), "mnist mnist-like/"),
        (("plot", "samples", "--dataset", ""), f"{' '.join(DATASETS)} checkpoints/ mnist-like/"),
        (("plot", "samples", "--dataset", "m"), "mnist mnist-like/"),
    ],
)
@pytest.mark.usefixtures("here")
def test_files_are_offered_beside_what_is_built_in(words: tuple[str, ...], names: str) -> None:
    assert offered(*words) == [("plain", name) for name in names.split()]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("predict", "ex"), "file"),
        (("predict", "--files-from", ""), "file"),
        (("predict", "-m", "ca"), "file"),
        (("predict", "-m", "./c"), "file"),
        (("import", "--arch", ""), "file"),
        (("train", "--dataset", "./m"), "dir"),
        (("plot", "--dataset", "pictures"), "dir"),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_shell_is_left_to_find_files_where_nothing_is_built_in(words: tuple[str, ...], kind: str) -> None:
    assert offered(*words) == [(kind, words[-1])]


def test_words_are_completed_in_a_folder_that_was_deleted(here: Path) -> None:
    shutil.rmtree(here)
    assert offered("predict", "-m", "") == [("plain", "mlp"), ("plain", "cnn")]
    assert offered("train", "--dataset", "mn") == [("plain", "mnist")]
    assert offered("verify", "x") == [("file", "x")]


def test_whatever_the_help_calls_a_file_or_a_folder_is_completed_to_one() -> None:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        context = click.Context(command)
        for parameter in command.params:
            if re.search(PLACES, parameter.make_metavar(context)):
                kinds = {item.type for item in parameter.shell_complete(context, "x")}
                assert kinds & {"file", "dir"}, (name, parameter.name)
