"""`mnist-edge evaluate`: models in, measurements on the test images out."""

import json
from pathlib import Path

import click

from mnist_edge.cli import options


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@options.data_dir
@options.as_json
def command(models: tuple[Path, ...], data_dir: Path, as_json: bool) -> None:
    """Measure each MODEL, a checkpoint or an exported file in its own runtime, on the 10,000 test images.

    Prints the accuracy with its 95 % interval (Wilson), and for each class precision, recall and confusions.
    """
    from mnist_edge.cli.tables import class_table, evaluation_table, print_table
    from mnist_edge.export.evaluate import evaluate
    from mnist_edge.training.data import load_test_data

    test = load_test_data(data_dir)
    evaluations = {path: evaluate(path, test) for path in models}
    if as_json:
        click.echo(json.dumps([{"model": str(path), **e.to_json()} for path, e in evaluations.items()], indent=2))
        return
    print_table(evaluation_table(evaluations))
    for path, evaluation in evaluations.items():
        print_table(class_table(path, evaluation))
