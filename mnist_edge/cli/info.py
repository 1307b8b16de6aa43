"""`mnist-edge info`: what a file is and where it comes from."""

from pathlib import Path
from typing import Any

import click

from mnist_edge.cli import options
from mnist_edge.cli.output import say, say_json, say_wrapped


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.as_json
def command(file: Path, as_json: bool) -> None:
    """Show the contract, provenance, size, operators and parameters of FILE, an exported artifact or a checkpoint."""
    from mnist_edge.exporting.inspect_file import describe

    groups = describe(file)
    if as_json:
        say_json(groups)
        return
    for title, fields in groups.items():
        say(title)
        for name, value in fields.items():
            for line in _lines(name, value):
                say_wrapped(f"  {line}")


def _lines(name: str, value: Any) -> list[str]:  # noqa: ANN401
    """Return a field as lines: one, or where it holds named parts one for each below it."""
    if isinstance(value, dict):
        return [name, *(f"  {line}" for part, inner in value.items() for line in _lines(part, inner))]
    if isinstance(value, list | tuple):
        return [f"{name}: {' '.join(_plain(part) for part in value)}"]
    return [f"{name}: {_plain(value)}"]


def _plain(value: Any) -> str:  # noqa: ANN401
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
