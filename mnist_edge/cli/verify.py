"""`mnist-edge verify`: exported files and their checkpoint in, verdicts out."""

import json
import sys
from pathlib import Path

import click

from mnist_edge.cli import options


@click.command()
@click.argument("artefacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTEFACT...")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    default=options.CHECKPOINT,
    show_default=True,
    help="The checkpoint that they were exported from.",
)
@options.data_dir
@options.as_json
def command(artefacts: tuple[Path, ...], reference: Path, data_dir: Path, as_json: bool) -> None:
    """Check each ARTEFACT against the checkpoint it came from, on all 10,000 test images.

    A file that was altered, or that answers otherwise than the trained model, fails: the exit code is 1 and stderr
    says why.
    """
    from mnist_edge.cli.tables import parity_table, print_table
    from mnist_edge.export.parity import make_reference
    from mnist_edge.export.verify import verify
    from mnist_edge.training.checkpoint import load_checkpoint
    from mnist_edge.training.data import load_test_data, load_training_data

    trained = make_reference(load_checkpoint(reference), load_test_data(data_dir), load_training_data(data_dir))
    reports = {path: verify(path, trained) for path in artefacts}
    if as_json:
        click.echo(json.dumps([{"file": str(path), **report.to_json()} for path, report in reports.items()], indent=2))
    else:
        print_table(parity_table(reports))
    for path, report in reports.items():
        for problem in report.problems:
            click.echo(f"{path}: {problem}", err=True)
    if not all(reports.values()):
        sys.exit(1)
