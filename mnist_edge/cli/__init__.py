"""The command line: one file per sub-command, imported only when it is called."""

import gc
import importlib
import os
import sys
from typing import Any

import click

from mnist_edge.cli import edge, interrupts, version
from mnist_edge.outside import check_folder

COMMANDS = {
    "train": "Train the digit classifier and write a checkpoint.",
    "import": "Take weights that were trained elsewhere.",
    "tune": "Search for settings that train better.",
    "evaluate": "Measure checkpoints and exported files on the test images.",
    "plot": "Draw samples, curves, confusions, mistakes and more.",
    "formats": "List the export formats, where they run and what they need.",
    "preprocessing": "Print what prepares pictures as C, for boards with a camera.",
    "export": "Export a checkpoint and verify every file.",
    "verify": "Check exported files against the checkpoint they came from.",
    "info": "Show what a file is and where it comes from.",
    "benchmark": "Measure what exported files cost on this machine.",
    "selfcheck": "Run a model's built-in test vectors on this machine.",
    "matrix": "Gather self-checks of several devices into one table.",
    "predict": "Read the digit in each picture.",
}
"""The sub-commands and the line that `--help` shows of each, kept here so that help imports none of them."""

_MODULES = {"import": "import_weights"}
"""Sub-commands whose module can't have their name."""


_ANYWHERE = ("formats", "matrix", "predict", "preprocessing", "selfcheck")
"""Sub-commands that need no torch, and no current folder that still exists."""

_GC_THRESHOLD = (200_000, 30, 30)
"""New objects, and rounds, after which Python looks for garbage in cycles, as mypy sets it.

At Python's 700, `export` and `verify` spend a tenth of their time looking through torch's million objects.
"""


class LazyGroup(click.Group):
    """A group whose sub-commands live in `mnist_edge.cli.<name>`, or where `_MODULES` says, as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the sub-command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{_MODULES.get(cmd_name, cmd_name)}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command; of a name that is close to one, say which may be meant."""
        if not ctx.resilient_parsing and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            meant = " or ".join(map(repr, get_close_matches(args[0], COMMANDS)))
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {meant}?' if meant else ''}")
        helps = not {*ctx.help_option_names}.isdisjoint(args)
        if not ctx.resilient_parsing and not helps and args[0] not in _ANYWHERE:
            check_folder()
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sub-commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - as click has it
        """Run the command line; as a program of its own, end in one line and an exit code whatever happens outside it.

        After `predict` the program ends without taking the interpreter apart. That frees each object of numpy and
        onnxruntime and takes a tenth of the whole time, for a process that is about to be gone. What a device runs for
        one picture should not pay for it.
        """
        if args or extra:
            return super().main(*args, **extra)
        if sys.argv[1:2] != ["predict"]:  # which may go on for long, on little memory
            gc.set_threshold(*_GC_THRESHOLD)
        edge.open_missing_streams()
        edge.end_on_ctrl_c()
        edge.end_on_sigterm()
        try:
            with interrupts.long_calls_interrupted(interrupts.grace_of(sys.argv[1:2])):
                super().main()
        except (SystemExit, OSError) as ended:  # an error of the system by now is one of stderr
            code = edge.exit_code(ended)
        if sys.argv[1:2] == ["predict"]:
            os._exit(code)
        sys.exit(code)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401 - as click has it
        """Read the command line, and report what goes wrong outside the program in one line."""
        with edge.reported():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a sub-command, and report what goes wrong outside the program in one line."""
        with edge.reported(), edge.settled_environment():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@version.option
def main() -> None:
    """Train a small digit classifier, export it where its answers agree with the trained model's, and read digits."""
