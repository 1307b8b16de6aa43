"""`mnist-edge preprocessing`: what turns pictures into model inputs, and the same in C."""

from pathlib import Path

import click

from mnist_edge.cli import outputs
from mnist_edge.cli.output import note, say_wrapped
from mnist_edge.preprocessing.registry import C_HEADERS, PREPROCESSINGS, c_header


@click.command()
@click.argument("key", type=click.Choice(list(PREPROCESSINGS)), required=False)
@click.option(
    "-o",
    "--output",
    type=outputs.OutputPath(outputs.C_HEADER),
    show_default="printed",
    help="The C header to write.",
)
@outputs.force
def command(key: str | None, output: Path | None, force: bool) -> None:
    """Print the preprocessing of this KEY as a C99 header, for a board with a camera; list the keys without one.

    The contract of each exported file names the key of what it was trained with.
    """
    if key is None:
        if output is not None:
            raise click.UsageError(f"--output needs a key: {' or '.join(C_HEADERS)}.")
        for name in PREPROCESSINGS:
            say_wrapped(f"{name}: {'Python and C' if name in C_HEADERS else 'Python'}")
        return
    source = c_header(key)
    if output is None:
        click.echo(source, nl=False)
        return
    outputs.check_outputs((output, outputs.C_HEADER), force=force)
    from mnist_edge.atomic import atomic_write

    atomic_write(output, source.encode())
    note(f"{output}: {key} in C99, {len(source):,} bytes")
