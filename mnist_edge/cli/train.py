"""`mnist-edge train`: data in, checkpoint out."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.cli import options

if TYPE_CHECKING:
    from mnist_edge.training.loop import Epoch, Step

LOSS_EVERY = 500
"""Steps between two printed losses."""


@click.command()
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images a step.")
@click.option("--learning-rate", "--lr", type=click.FloatRange(min=0, min_open=True), help="Step size of SGD.")
@click.option("--momentum", type=click.FloatRange(min=0, max=1, max_open=True), help="Momentum of SGD.")
@click.option("--seed", type=click.IntRange(min=0, max=2**63 - 1), default=0, show_default=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=options.CHECKPOINT,
    show_default=True,
    help="The checkpoint to write.",
)
@options.data_dir
@options.as_json
def command(
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    momentum: float | None,
    seed: int,
    output: Path,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Train the digit classifier and write a checkpoint.

    The same seed gives the same file, byte for byte, with the same versions. Accuracy is measured on 5,000 training
    images that are held back; the test images are for `mnist-edge evaluate`.
    """
    _round_the_same_way_every_time()
    from mnist_edge.training.checkpoint import make_checkpoint, save_checkpoint
    from mnist_edge.training.data import load_training_data
    from mnist_edge.training.loop import train
    from mnist_edge.training.model import build_model
    from mnist_edge.training.recipe import RECIPES

    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": momentum,
    }
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    recipe = dataclasses.replace(RECIPES["plain"], **chosen)
    data = load_training_data(data_dir)
    model = build_model("mlp", seed)
    with _Progress(recipe.epochs) as progress:
        history = train(model, data, recipe, seed, progress.on_step, progress.on_epoch)
    checkpoint = make_checkpoint(model, "mlp", recipe, seed, history, data.digest)
    save_checkpoint(output, checkpoint)
    if as_json:
        result = {"checkpoint": str(output), "sha256": checkpoint.digest, "validation_accuracy": history[-1].accuracy}
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(f"{output}: {history[-1].accuracy:.2%} of the 5,000 held-back training images")


def _round_the_same_way_every_time() -> None:
    """Ask Intel MKL, before torch loads it, for results that depend neither on threads nor on where arrays lie.

    Without it, its matrix products may round differently from run to run ("Conditional Numerical Reproducibility" in
    the oneMKL developer guide). It costs no time that could be measured, and where torch has no MKL it does nothing.
    """
    os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")


class _Progress:
    """Losses and accuracies as lines, and a bar below them, on stderr."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task("training", total=None)
        self.epochs = epochs

    def __enter__(self) -> "_Progress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def on_step(self, step: "Step") -> None:
        self.bar.update(self.task, total=self.epochs * step.steps, advance=1)
        if step.step % LOSS_EVERY == 0:
            self.bar.print(f"epoch {step.epoch}/{self.epochs}  step {step.step}/{step.steps}  loss {step.loss:.4f}")

    def on_epoch(self, epoch: "Epoch") -> None:
        self.bar.print(
            f"epoch {epoch.epoch}/{self.epochs}  mean loss {epoch.loss:.4f}  held-back accuracy {epoch.accuracy:.2%}"
        )
