"""`mnist-edge plot`: pictures by which a model is understood."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options
from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ["samples", "corruptions", "curves", "confusion", "mistakes", "augmentation", "reliability"]

SHOWN = (0, 1, 2, 4, 8, 11, 18, 61)
"""Test images that the picture of corruptions shows: a few clear ones and a few that are not."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("model", type=click.Path(path_type=Path), default=options.CHECKPOINT)
@click.option(
    "--output",
    type=options.FIGURE,
    help="A .png or .svg file.  [default: figures/<kind>.png]",
)
@click.option("--recipe", default="robust", show_default=True, help="For augmentation: whose changes to show.")
@click.option(
    "--index", type=click.IntRange(0, 54_999), default=0, show_default=True, help="For augmentation: of which."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For what is drawn at random.")
@options.data_dir
def command(kind: str, model: Path, output: Path | None, recipe: str, index: int, seed: int, data_dir: Path) -> None:
    """Draw a picture of KIND, of MODEL (a checkpoint or an exported file) where it shows a model.

    \b
    samples       eight test images of each label
    corruptions   the same digits blurred, noisy and more, with the model's answers
    curves        loss and accuracy over the training of a checkpoint
    confusion     what is taken for what
    mistakes      the wrong answers of which the model is surest
    augmentation  sixteen versions of one training image
    reliability   is it right as often as it is sure?
    """  # noqa: D301 - click takes a backspace for "do not wrap"
    from mnist_edge.training.figures import save_figure

    draw: dict[str, Callable[[], Figure]] = {
        "samples": lambda: _samples(data_dir, seed),
        "augmentation": lambda: _augmentation(data_dir, recipe, index, seed),
        "curves": lambda: _curves(model),
        "corruptions": lambda: _corruptions(model, data_dir),
        "confusion": lambda: _confusion(model, data_dir),
        "mistakes": lambda: _mistakes(model, data_dir),
        "reliability": lambda: _reliability(model, data_dir),
    }
    output = output or Path("figures") / f"{kind}.png"
    save_figure(draw[kind](), output)
    click.echo(output)


def _samples(data_dir: Path, seed: int) -> "Figure":
    from mnist_edge.training.datasets.mnist import load_test_data
    from mnist_edge.training.figures import samples_figure

    return samples_figure(load_test_data(data_dir), seed)


def _augmentation(data_dir: Path, recipe: str, index: int, seed: int) -> "Figure":
    from mnist_edge.training.datasets.mnist import load_training_data
    from mnist_edge.training.figures import augmentation_figure
    from mnist_edge.training.recipe import recipe_for

    return augmentation_figure(load_training_data(data_dir).train, recipe_for(recipe, "mlp"), index, seed)


def _curves(model: Path) -> "Figure":
    from mnist_edge.training.checkpoint import load_checkpoint
    from mnist_edge.training.figures import curves_figure

    if model.suffix != ".safetensors":
        raise UserError(f"{model} does not know how it was trained: expected a checkpoint (.safetensors)")
    return curves_figure(load_checkpoint(model).history)


def _corruptions(model: Path, data_dir: Path) -> "Figure":
    from mnist_edge.parity.evaluate import open_model
    from mnist_edge.training.corruptions import CORRUPTIONS, corrupt
    from mnist_edge.training.datasets.mnist import load_test_data
    from mnist_edge.training.figures import corruption_figure

    test, opened = load_test_data(data_dir), open_model(model)
    images = test.images[list(SHOWN)]
    logits = {kind: opened.answer(corrupt(images, kind, 3).numpy()) for kind in CORRUPTIONS}
    return corruption_figure(test, {"original": opened.answer(images.numpy()), **logits}, SHOWN, opened.temperature)


def _confusion(model: Path, data_dir: Path) -> "Figure":
    from mnist_edge.parity.evaluate import evaluate, open_model
    from mnist_edge.training.datasets.mnist import load_test_data
    from mnist_edge.training.figures import confusion_figure

    return confusion_figure(evaluate(open_model(model), load_test_data(data_dir)), model.name)


def _mistakes(model: Path, data_dir: Path) -> "Figure":
    from mnist_edge.parity.evaluate import open_model
    from mnist_edge.training.datasets.mnist import load_test_data
    from mnist_edge.training.figures import mistakes_figure

    test, opened = load_test_data(data_dir), open_model(model)
    return mistakes_figure(test, opened.answer(test.images.numpy()), opened.temperature, model.name)


def _reliability(model: Path, data_dir: Path) -> "Figure":
    from mnist_edge.parity.evaluate import open_model
    from mnist_edge.training.calibration import reliability
    from mnist_edge.training.datasets.mnist import load_test_data
    from mnist_edge.training.figures import reliability_figure

    test, opened = load_test_data(data_dir), open_model(model)
    logits, labels = opened.answer(test.images.numpy()), test.labels.numpy()
    before, after = reliability(logits, labels, 1.0), reliability(logits, labels, opened.temperature)
    return reliability_figure(before, after, opened.temperature, model.name)
