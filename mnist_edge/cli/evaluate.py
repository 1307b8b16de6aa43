"""`mnist-edge evaluate`: models in, measurements on the test images out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options, outputs, torch_setup
from mnist_edge.cli.output import note, say_json
from mnist_edge.training.figure_text import drawable

if TYPE_CHECKING:
    from mnist_edge.parity.evaluate import OpenModel, Robustness
    from mnist_edge.training.metrics import Evaluation


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@click.option("--corruptions", is_flag=True, help="Measure on corrupted images instead: eleven kinds, five severities.")
@click.option(
    "--figure",
    type=outputs.OutputPath(outputs.FIGURE),
    help="With --corruptions: also draw it, to a .png or .svg file.",
)
@outputs.force
@options.own_architecture
@options.pictures
@options.data_dir
@options.as_json
def command(
    models: tuple[Path, ...],
    corruptions: bool,
    figure: Path | None,
    force: bool,
    architecture: str | None,
    dataset: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Measure each MODEL, a checkpoint or an exported artifact in its own runtime, on the test images.

    A folder stands for what its manifest.json lists.

    Prints the accuracy with its 95 % interval (Wilson), the calibration error, and for each class precision, recall
    and confusions.
    """
    if figure and not corruptions:
        raise click.UsageError("--figure goes with --corruptions; other pictures are drawn by `mnist-edge plot`.")
    outputs.check_outputs((figure, outputs.FIGURE), force=force)
    torch_setup.wait_passively()
    from mnist_edge.cli.artifacts import expand
    from mnist_edge.cli.progress import steps
    from mnist_edge.parity.evaluate import evaluate, evaluate_corrupted, load_test_images, open_model
    from mnist_edge.training.architectures.own import load_architecture

    own = load_architecture(architecture) if architecture else None
    opened = [open_model(path, largest_batches=corruptions, own=own) for path in expand(models)]
    for model in opened:
        if model.caveats:
            note(f"{model.path}: {model.caveats}")
    test = load_test_images(opened, data_dir, dataset)
    if corruptions:
        with steps() as on_step:
            measured = evaluate_corrupted(opened, test, on_step)
        named = {str(model.path): robustness for model, robustness in zip(opened, measured, strict=True)}
        _print_corrupted(named, figure, as_json)
        return
    with steps() as on_step:
        evaluations = {}
        for model in opened:
            on_step(f"{model.path.name}: answers")
            evaluations[model.path] = evaluate(model, test)
    _print_clean(opened, evaluations, as_json)


def _print_clean(opened: "list[OpenModel]", evaluations: "dict[Path, Evaluation]", as_json: bool) -> None:
    from mnist_edge.cli.layout import print_tables
    from mnist_edge.cli.tables import class_table, evaluation_table

    if as_json:
        say_json([{"model": str(path), **measured.to_json()} for path, measured in evaluations.items()])
        return
    classes = [class_table(model.path, evaluations[model.path], model.task.labels) for model in opened]
    print_tables([*classes, evaluation_table(evaluations)])


def _print_corrupted(measured: "dict[str, Robustness]", figure: Path | None, as_json: bool) -> None:
    from mnist_edge.cli.layout import fits, print_tables
    from mnist_edge.cli.tables import corruption_table

    if figure:
        from mnist_edge.training.figures import robustness_figure, save_figure

        names = [drawable(path) for path in measured]
        if len(set(names)) < len(names):  # long paths lose their middle
            names = [f"{number}: {name}" for number, name in enumerate(names, start=1)]
        save_figure(robustness_figure(dict(zip(names, measured.values(), strict=True))), figure)
    if as_json:
        say_json([{"model": path, "accuracy": result} for path, result in measured.items()])
        return
    tables = [corruption_table(path, result) for path, result in measured.items()]
    if not all(map(fits, tables)):
        tables = [corruption_table(path, result, levels=False) for path, result in measured.items()]
    print_tables(tables)
