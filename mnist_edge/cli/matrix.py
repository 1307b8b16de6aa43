"""`mnist-edge matrix`: what devices said of files in, one table over all of them out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import edge, options, outputs
from mnist_edge.cli.output import say_json

if TYPE_CHECKING:
    from mnist_edge.benchmark.matrix import Outcome


@click.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="REPORT...")
@click.option("--html", type=outputs.OutputPath(outputs.HTML), help="Also write a page, devices beside one another.")
@outputs.force
@options.as_json
@edge.read_to_the_end()
def command(reports: tuple[Path, ...], html: Path | None, force: bool, as_json: bool) -> None:
    """Gather what `mnist-edge selfcheck --json` printed on several devices: which file passes where, and how quick.

    Name each REPORT file after its device: `mnist-edge selfcheck --json exports > raspberry-pi-5.json`. If a file
    failed on one of them, the exit code is 1.
    """
    outputs.check_outputs((html, outputs.HTML), force=force)
    from mnist_edge.benchmark.matrix import read_reports

    outcomes = read_reports(reports)
    if html:
        from mnist_edge.atomic import atomic_write
        from mnist_edge.exporting.report.matrix import matrix_page

        atomic_write(html, matrix_page(outcomes))
    if as_json:
        say_json([outcome.to_json() for outcome in outcomes])
    else:
        _print(outcomes)
    if not all(outcome.passed for outcome in outcomes):
        sys.exit(1)


def _print(outcomes: "Sequence[Outcome]") -> None:
    from mnist_edge.cli.layout import TextTable, print_tables

    headings = "\narchitecture", "\nfile", "\nformat", "\nverdict", "largest\n|Δlogit|", "one image\n[µs]"
    table = TextTable("\ndevice", *headings)
    for outcome in outcomes:
        difference = "–" if outcome.max_abs_diff is None else f"{outcome.max_abs_diff:.3g}"
        latency = "–" if outcome.latency is None else f"{outcome.latency * 1e6:,.1f}"
        device = outcome.device
        cells = device.architecture, outcome.file, outcome.format, outcome.verdict, difference, latency
        table.add(device.name, *cells)
    print_tables([table])
