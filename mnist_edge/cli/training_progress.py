"""Progress on stderr: lines for what has finished, and on a terminal that can move its cursor a bar below them."""

import sys
from typing import TYPE_CHECKING, Self

from mnist_edge.cli.output import encodable, styled
from mnist_edge.text import printable

if TYPE_CHECKING:
    from mnist_edge.training.loop import StepResult
    from mnist_edge.training.train_state import Epoch


class Progress:
    """A bar that is gone when the work is done, and lines that stay."""

    def __init__(self, description: str, *, quiet: bool = False) -> None:
        """Prepare a bar; one that is `quiet` shows nothing and prints no lines."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._quiet = quiet
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, color_system="auto" if styled(sys.stderr) else None, highlight=False),
            transient=True,
            disable=quiet or not styled(sys.stderr),
        )
        self._bar = self._bars.add_task(description, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            shown = encodable(printable(text), sys.stderr)
            self._bars.console.print(shown, markup=False, emoji=False, soft_wrap=True)

    def update(self, completed: int, total: int) -> None:
        """Move the bar."""
        self._bars.update(self._bar, total=total, completed=completed)


class TrainingProgress(Progress):
    """The progress of one training: a line for each epoch, and for the loss of a step where that is asked for."""

    def __init__(self, epochs: int, *, log_every: int = 0, quiet: bool = False) -> None:
        """Prepare for that many epochs, and a line each `log_every` steps, where that is not 0."""
        super().__init__("training", quiet=quiet)
        self.epochs, self.log_every = epochs, log_every

    def on_step(self, step: "StepResult") -> None:
        """Show that a step is done."""
        self.update((step.epoch - 1) * step.steps + step.step, self.epochs * step.steps)
        if self.log_every and step.step % self.log_every == 0:
            self.line(f"epoch {step.epoch}/{self.epochs}  step {step.step}/{step.steps}  loss {step.loss:.4f}")

    def on_epoch(self, epoch: "Epoch") -> None:
        """Print the result of an epoch."""
        self.line(
            f"epoch {epoch.epoch}/{self.epochs}  mean loss {epoch.loss:.4f}  validation accuracy {epoch.accuracy:.2%}"
        )
