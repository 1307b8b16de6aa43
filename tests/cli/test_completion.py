"""What a shell offers after the tab key, asked for as the shell asks."""

from click.shell_completion import ShellComplete

from mnist_edge.cli import COMMANDS, main


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
