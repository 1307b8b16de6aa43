"""Options that several sub-commands share."""

import math
from pathlib import Path
from typing import Any

import click

CHECKPOINT = Path("checkpoints/mnist-mlp.safetensors")
"""Where `train` writes and `export` reads, unless told otherwise."""


class FigurePath(click.Path):
    """The name of a picture to write, refused before any work is done where its suffix is another."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the path."""
        path = Path(value)
        if path.suffix not in (".png", ".svg"):
            self.fail(f"{value!r} does not end in .png or .svg", param, ctx)
        return super().convert(value, param, ctx)


class Finite(click.FloatRange):
    """A number in a range; NaN and infinity, which compare with nothing, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


FIGURE = FigurePath(dir_okay=False, path_type=Path)

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder that holds the data set, MNIST in MNIST/raw; missing files are downloaded.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def check_outputs(*targets: Path | None) -> None:
    """Find out before the work whether what a command will write can be written.

    Raises:
        UserError: one of the targets can't be written; a None is not asked for.
    """
    from mnist_edge.atomic import check_writable

    for target in targets:
        if target is not None:
            check_writable(target)
