"""`mnist-edge verify`: exported files and their checkpoint in, verdicts and reports out."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options

if TYPE_CHECKING:
    from mnist_edge.exporting.report.report import Report

REPORT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("artefacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTEFACT...")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    default=options.CHECKPOINT,
    show_default=True,
    help="The checkpoint that they were exported from.",
)
@click.option("--layers", is_flag=True, help="Also compare layer by layer, and name the first that departs.")
@click.option("--thorough", is_flag=True, help="Give all images, not 500, at each batch size and in shuffled batches.")
@click.option("--html", type=REPORT_FILE, help="Write the report as one HTML page, with the changed digits.")
@click.option("--junit", "junit_file", type=REPORT_FILE, help="Write the outcome of each check as JUnit XML.")
@options.data_dir
@options.as_json
def command(
    artefacts: tuple[Path, ...],
    reference: Path,
    layers: bool,
    thorough: bool,
    html: Path | None,
    junit_file: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Check each ARTEFACT against the checkpoint it came from, on all 10,000 test images.

    A file that was altered, or that answers otherwise than the trained model, fails: the exit code is 1 and stderr
    says why.
    """
    from mnist_edge.exporting.report.junit import junit
    from mnist_edge.parity.reference import load_reference
    from mnist_edge.exporting.report.report import report_on, with_layers
    from mnist_edge.atomic import staging

    _keep_apart(html, junit_file, *artefacts, reference)
    trained = load_reference(reference, data_dir)
    reports = [report_on(path, trained, thorough=thorough) for path in artefacts]
    if layers:
        reports = [with_layers(report, trained) for report in reports]
    with staging() as stage:
        if html:
            from mnist_edge.exporting.report.html import html_report

            stage(html, html_report(reports, trained))
        if junit_file:
            stage(junit_file, junit(reports))
    if as_json:
        click.echo(json.dumps([{"file": str(report.path), **report.to_json()} for report in reports], indent=2))
    else:
        _print(reports)
    _tell(reports)
    if not all(reports):
        sys.exit(1)


def _keep_apart(html: Path | None, junit_file: Path | None, *given: Path) -> None:
    """Refuse a report that would be written over another file of the command line."""
    taken = {path.resolve() for path in given}
    for target in (html, junit_file):
        if target is not None:
            if target.resolve() in taken:
                raise click.UsageError(f"A report would be written over {target}: name another file.")
            taken.add(target.resolve())


def _print(reports: "list[Report]") -> None:
    from mnist_edge.cli.tables import changed_table, layer_table, print_table, report_table

    print_table(report_table(reports))
    if any(report.statistics and report.statistics.changed for report in reports):
        print_table(changed_table(reports))
    for report in reports:
        if report.layers is not None:
            print_table(layer_table(report.path, report.layers))


def _tell(reports: "list[Report]") -> None:
    for report in reports:
        for problem in report.problems:
            click.echo(f"{report.path}: {problem}", err=True)
        if report.hidden_layers:
            click.echo(f"{report.path}: its layers cannot be shown: {report.hidden_layers}", err=True)
