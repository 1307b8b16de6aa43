"""What a command that takes its time is doing, on stderr, where that is a terminal."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mnist_edge.cli.output import encodable, styled
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.text import printable, shorten

MAX_STEP = 70
"""Characters of a step: beside the time, it fits on a line of a terminal."""


@contextmanager
def steps() -> Iterator[OnStep]:
    """Show each step and the time since the start, in a line that is gone at the end.

    Results come after that: what the code of a network prints meanwhile goes to stderr. Where stderr is not a terminal,
    or one that can't move its cursor or shall have no styles, or rich is not installed, nothing is shown.
    """
    if not styled(sys.stderr) or importlib.util.find_spec("rich") is None:
        with redirect_stdout(sys.stderr):
            yield nothing
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True)
    with redirect_stdout(sys.stderr), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def show(step: str) -> None:
            progress.update(task, description=encodable(shorten(printable(step), MAX_STEP), sys.stderr))

        yield show
