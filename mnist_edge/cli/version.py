"""What `--version` prints."""

import click

from mnist_edge import __version__
from mnist_edge.cli.output import say


def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and the built-in models with the SHA-256 of their files, and end."""
    if not value or ctx.resilient_parsing:
        return
    from mnist_edge.artifact.checksum import sha256
    from mnist_edge.reading import read_bytes
    from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, DEFAULT_MODEL, DEFAULT_NUMBER_MODEL

    say(f"mnist-edge {__version__}")
    defaults = {DEFAULT_MODEL: " (default)", DEFAULT_NUMBER_MODEL: " (default with --number)"}
    for name, path in BUILTIN_MODELS.items():
        say(f"model {name}{defaults.get(path, '')}: {path.name} sha256:{sha256(read_bytes(path))}")
    ctx.exit()


option = click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=show, help="Show the version and the models."
)
