"""`mnist-edge plot`: figures of data, trainings and models."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mnist_edge.cli import data_options, options, outputs, recipe_options, torch_setup
from mnist_edge.cli.output import say
from mnist_edge.cli.progress import steps
from mnist_edge.errors import UserError
from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET
from mnist_edge.training.figure_text import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mnist_edge.artifact.contract import Task
    from mnist_edge.parity.evaluate import OpenModel
    from mnist_edge.training.datasets.splits import Split

KINDS = ["samples", "corruptions", "curves", "confusion", "mistakes", "augmentation", "reliability"]

OF_ANSWERS = ("corruptions", "confusion", "mistakes", "reliability")
"""Figures that show what a model answers."""

OF_MODELS = ("curves", *OF_ANSWERS)
"""Figures that show a model."""

KINDS_OF = {
    "model": OF_MODELS,
    "architecture": OF_ANSWERS,
    "dataset": ("samples", "augmentation", *OF_ANSWERS),
    "data_dir": ("samples", "augmentation", *OF_ANSWERS),
    "recipe": ("augmentation",),
    "index": ("augmentation",),
    "seed": ("samples", "augmentation"),
}
"""Where an argument or option means something, by its parameter."""

SHOWN_INDICES = (0, 1, 2, 4, 8, 11, 18, 61)
"""Test images that the figure of corruptions shows: a few clear ones and a few that are not."""

MAX_LABEL = 20
"""Characters of a label in a figure: with longer ones beside it, a confusion matrix has no room left."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("model", type=click.Path(path_type=Path), default=options.last_checkpoint)
@click.option(
    "-o",
    "--output",
    type=outputs.OutputPath(outputs.FIGURE),
    show_default="figures/<kind>.png",
    help="The .png or .svg file to write.",
)
@outputs.force
@click.option(
    "--recipe",
    type=click.Choice(recipe_options.RECIPE_NAMES),
    default="robust",
    show_default=True,
    help="For augmentation: the recipe to show, as it is for the MLP.",
)
@click.option(
    "--index", type=click.IntRange(min=0), default=0, show_default=True, help="For augmentation: of which image."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For what is drawn at random.")
@options.own_architecture
@click.option(
    "--dataset",
    metavar="NAME|FOLDER",
    shell_complete=options.files_or(*DATASETS, kind="dir"),
    show_default="mnist, or where the pictures were",
    help="For samples and augmentation: whose images; else where the folder of a checkpoint's pictures is now.",
)
@options.data_dir
def command(
    kind: str,
    model: Path,
    output: Path | None,
    force: bool,
    recipe: str,
    index: int,
    seed: int,
    architecture: str | None,
    dataset: str | None,
    data_dir: Path,
) -> None:
    """Draw a figure of KIND, of MODEL (a checkpoint or an exported file) where it shows a model.

    \b
    samples       eight test images of each label
    corruptions   the same images blurred, noisy and more, with the model's answers
    curves        loss and accuracy over the training of a checkpoint
    confusion     which labels the model confuses
    mistakes      the model's most confident wrong answers
    augmentation  sixteen versions of one training image
    reliability   accuracy against confidence
    """  # noqa: D301 - click takes a backspace for "do not wrap"
    _check_honored(kind)
    output = output or Path("figures") / f"{kind}.png"
    outputs.check_outputs((output, outputs.FIGURE), force=force)
    torch_setup.wait_passively()
    from mnist_edge.training.figures import save_figure

    draw: dict[str, Callable[[], Figure]] = {
        "samples": lambda: _samples(dataset or DEFAULT_DATASET, data_dir, seed),
        "augmentation": lambda: _augmentation(dataset or DEFAULT_DATASET, data_dir, recipe, index, seed),
        "curves": lambda: _curves(model),
        "corruptions": lambda: _corruptions(*_open(model, architecture, dataset, data_dir)),
        "confusion": lambda: _confusion(*_open(model, architecture, dataset, data_dir)),
        "mistakes": lambda: _mistakes(*_open(model, architecture, dataset, data_dir)),
        "reliability": lambda: _reliability(*_open(model, architecture, dataset, data_dir)),
    }
    with steps() as on_step:
        on_step(f"draws the figure of {kind}")
        save_figure(draw[kind](), output)
    say(output)


def _check_honored(kind: str) -> None:
    """Refuse what was given and means nothing for a kind of figure; raises `click.UsageError`."""
    context = click.get_current_context()
    for parameter in context.command.params:
        kinds = KINDS_OF.get(parameter.name or "", KINDS)
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and kind not in kinds:
            raise click.UsageError(f"{parameter.get_error_hint(context)} means nothing for {kind}: leave it out.")


def _samples(dataset: str, data_dir: Path, seed: int) -> "Figure":
    from mnist_edge.training.figures import samples_figure

    data = data_options.open_data(dataset, data_dir)
    return samples_figure(data.load_test_data(), data.task, seed)


def _augmentation(dataset: str, data_dir: Path, recipe: str, index: int, seed: int) -> "Figure":
    from mnist_edge.training.figures import augmentation_figure
    from mnist_edge.training.recipe import check_suits, recipe_for

    data, chosen = data_options.open_data(dataset, data_dir), recipe_for(recipe, "mlp")
    check_suits(chosen, data.task)
    split = data.load_training_data().train
    if index >= len(split):
        raise click.BadParameter(f"{index} is not in the range 0<=x<={len(split) - 1}.", param_hint="'--index'")
    return augmentation_figure(split, _captions(data.task), chosen, index, seed)


def _curves(model: Path) -> "Figure":
    from mnist_edge.training.checkpoint import load_checkpoint
    from mnist_edge.training.figures import curves_figure

    if model.suffix != ".safetensors":
        raise UserError(f"{model} does not know how it was trained: expected a checkpoint (.safetensors)")
    history = load_checkpoint(model).history
    if not history:
        raise UserError(f"{model} has no epochs to draw: expected a checkpoint that was trained")
    return curves_figure(history)


def _open(model: Path, architecture: str | None, dataset: str | None, data_dir: Path) -> "tuple[OpenModel, Split]":
    """Return a model and the test images of its task."""
    from mnist_edge.parity.evaluate import load_test_images, open_model
    from mnist_edge.training.architectures.own import load_architecture

    opened = open_model(model, own=load_architecture(architecture) if architecture else None)
    return opened, load_test_images([opened], data_dir, Path(dataset) if dataset else None)


def _captions(task: "Task") -> tuple[str, ...]:
    """Return the labels of a task as a figure may show them."""
    return tuple(drawable(label, MAX_LABEL) for label in task.labels)


def _corruptions(opened: "OpenModel", test: "Split") -> "Figure":
    from mnist_edge.training.corruptions import CORRUPTIONS, check_corruptible, corrupt
    from mnist_edge.training.figures import SHOWN_SEVERITY, corruption_figure

    check_corruptible(opened.task)
    shown = [index for index in SHOWN_INDICES if index < len(test)]
    images = test.images[shown]
    logits = {"original": opened.predict_logits(images.numpy())}
    for kind in CORRUPTIONS:
        logits[kind] = opened.predict_logits(corrupt(images, kind, SHOWN_SEVERITY).numpy())
    return corruption_figure(test, _captions(opened.task), logits, shown, opened.temperature)


def _confusion(opened: "OpenModel", test: "Split") -> "Figure":
    from mnist_edge.parity.evaluate import evaluate
    from mnist_edge.training.figures import confusion_figure

    return confusion_figure(evaluate(opened, test), _captions(opened.task), drawable(opened.path.name))


def _mistakes(opened: "OpenModel", test: "Split") -> "Figure":
    from mnist_edge.training.figures import mistakes_figure

    logits = opened.predict_logits(test.images.numpy())
    return mistakes_figure(test, _captions(opened.task), logits, opened.temperature, drawable(opened.path.name))


def _reliability(opened: "OpenModel", test: "Split") -> "Figure":
    from mnist_edge.training.calibration import reliability
    from mnist_edge.training.figures import reliability_figure

    logits, labels = opened.predict_logits(test.images.numpy()), test.labels.numpy()
    before, after = reliability(logits, labels, 1.0), reliability(logits, labels, opened.temperature)
    return reliability_figure(before, after, opened.temperature, drawable(opened.path.name))
