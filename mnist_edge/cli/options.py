"""Options that several sub-commands share."""

import math
from pathlib import Path
from typing import Any

import click

CHECKPOINT = Path("checkpoints/mnist-mlp.safetensors")
"""Where `train` writes and `export` reads, unless told otherwise."""


class Finite(click.FloatRange):
    """A number in a range; NaN and infinity, which compare with nothing, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder that holds the data set, MNIST in MNIST/raw; missing files are downloaded.",
)

targets = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Also run C headers on an emulated device, such as cortex-m4, or on all; may be given more than once.",
)

target_images = click.option(
    "--target-images", type=click.IntRange(min=1), metavar="N", help="On how many of the test images.  [default: all]"
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress on stderr.")
