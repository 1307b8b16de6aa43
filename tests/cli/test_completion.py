"""What a shell offers after the tab key, asked for as the shell asks."""

import re

import click
import pytest
from click.shell_completion import ShellComplete

from mnist_edge.cli import COMMANDS, main

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


@pytest.mark.parametrize(
    ("words", "kind", "names"),
    [
        (("predict", "ex"), "file", []),
        (("predict", "--files-from", ""), "file", []),
        (("predict", "--model", ""), "file", ["mlp", "cnn"]),
        (("predict", "-m", "c"), "file", ["cnn"]),
        (("train", "--arch", "m"), "file", ["mlp"]),
        (("import", "--arch", ""), "file", []),
        (("train", "--dataset", "mn"), "dir", ["mnist"]),
        (("plot", "--dataset", "pictures"), "dir", []),
    ],
)
def test_names_of_files_are_offered_beside_those_that_are_built_in(
    words: tuple[str, ...], kind: str, names: list[str]
) -> None:
    assert offered(*words) == [(kind, words[-1]), *(("plain", name) for name in names)]


def test_whatever_the_help_calls_a_file_or_a_folder_is_completed_to_one() -> None:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        context = click.Context(command)
        for parameter in command.params:
            if re.search(
                "FILE|FOLDER|PICTURE|MODEL|ARTIFACT|REPORT|WEIGHTS|CHECKPOINT", parameter.make_metavar(context)
            ):
                kinds = {item.type for item in parameter.shell_complete(context, "x")}
                assert kinds & {"file", "dir"}, (name, parameter.name)
