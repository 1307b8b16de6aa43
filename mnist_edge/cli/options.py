"""Options that several sub-commands share."""

from pathlib import Path

import click

CHECKPOINT = Path("checkpoints/mnist-mlp.safetensors")
"""Where `train` writes and `export` reads, unless told otherwise."""

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder that holds MNIST/raw with the four files of MNIST; missing ones are downloaded.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
