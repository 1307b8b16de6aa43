"""`mnist-edge formats`: what can be exported to, where that runs, and what it needs."""

from typing import Any

import click

from mnist_edge.cli import options
from mnist_edge.cli.output import say_json, say_wrapped
from mnist_edge.formats.base import FormatSpec, install_command
from mnist_edge.formats.registry import FORMATS


@click.command()
@options.as_json
def command(as_json: bool) -> None:
    """List the export formats: precisions, where each runs, and what it needs that is not installed here."""
    rows = [describe(spec) for spec in FORMATS.values()]
    if as_json:
        say_json(rows)
        return
    for row in rows:
        say_wrapped(f"{row['name']} ({row['suffix']}): {', '.join(row['precisions'])}")
        say_wrapped(f"  runs on  {row['runs_on']}")
        for action in ("export", "run"):
            state = row[action]
            ready = "ready" if state["installed"] else f"missing {', '.join(state['missing'])}: {state['install']}"
            say_wrapped(f"  {action:<7}  needs {', '.join(state['needs'])}; {ready}")


def describe(spec: FormatSpec) -> dict[str, Any]:
    """Return a format as JSON types, with what is installed here."""
    return {
        "name": spec.name,
        "suffix": spec.suffix,
        "precisions": [str(precision) for precision in spec.precisions],
        "schemes": [scheme.name for scheme in spec.schemes],
        "options": dict(spec.options),
        "runs_on": spec.runs_on,
        "export": _state(spec.needs_to_export, spec.missing_to_export(), install_command(spec.export_extra)),
        "run": _state(spec.needs_to_run, spec.missing_to_run(), spec.install_to_run),
    }


def _state(needs: tuple[str, ...], missing: list[str], install: str) -> dict[str, Any]:
    return {"needs": list(needs), "installed": not missing, "missing": missing, "install": install}
