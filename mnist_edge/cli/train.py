"""`mnist-edge train`: data in, checkpoint out."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.cli import options

if TYPE_CHECKING:
    from mnist_edge.training.datasets.mnist import TrainingData
    from mnist_edge.training.loop import Epoch, Step, Training
    from mnist_edge.training.train_state import Plan

LOSS_EVERY = 215
"""Steps between two printed losses: eight an epoch at batch 32, two at batch 128."""

DRAW_EVERY = 10.0
"""Seconds between two pictures of the curves."""

_SHARE = options.Finite(min=0, max=1)
_SIZE = options.Finite(min=0)

SETTINGS: dict[str, tuple[click.ParamType[Any], str]] = {
    "epochs": (click.IntRange(min=1), "Passes over the training images."),
    "batch_size": (click.IntRange(min=1), "Images a step."),
    "learning_rate": (options.Finite(min=0, min_open=True), "Greatest step size of SGD."),
    "momentum": (options.Finite(min=0, max=1, max_open=True), "Momentum of SGD."),
    "weight_decay": (_SIZE, "L2 penalty on the weights."),
    "warmup": (_SIZE, "Epochs over which the step size rises."),
    "schedule": (click.Choice(["constant", "cosine"]), "What the step size does after."),
    "fade": (_SHARE, "Share of the augmentation's strength that is gone in the end."),
    "average": (options.Finite(min=0, max=1, max_open=True), "Moving average of the weights: share of the old."),
}
"""An option for each setting of a recipe, but its name and its augmentation."""

AUGMENTATION: dict[str, tuple[click.ParamType[Any], str]] = {
    "rotation": (_SIZE, "Degrees."),
    "shear": (_SIZE, "Horizontal shift per unit of height."),
    "scale": (_SIZE, "Natural logarithm of the factor."),
    "shift": (_SIZE, "Pixels off the centre of mass."),
    "elastic": (_SIZE, "Pixels of displacement at the knots of a field."),
    "thickness": (_SHARE, "Thicker and thinner strokes."),
    "blur": (_SHARE, "Softer strokes."),
    "gamma": (_SIZE, "Natural logarithm of the exponent put on the brightness."),
    "harden": (_SHARE, "Binarised strokes."),
    "broken": (_SHARE, "Share of images with faded patches."),
    "habits": (_SHARE, "Share of ones with flags or feet, of sevens with bars."),
}
"""An option for each change of the augmentation."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command an option for each setting of a recipe; None is as the recipe has it."""
    for name, (kind, text) in reversed((SETTINGS | AUGMENTATION).items()):
        short = ("--lr",) if name == "learning_rate" else ()
        command = click.option(f"--{name.replace('_', '-')}", *short, type=kind, help=text)(command)
    return command


@click.command()
@click.option("--recipe", type=click.Choice(["plain", "robust"]), default="plain", show_default=True)
@click.option("--arch", "architecture", type=click.Choice(["mlp", "cnn"]), default="mlp", show_default=True)
@_settings
@click.option("--seed", type=click.IntRange(min=0, max=2**62), default=0, show_default=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The checkpoint to write.  [default: checkpoints/mnist-<arch>.safetensors]",
)
@click.option("--resume", is_flag=True, help="Go on with the interrupted training of this checkpoint.")
@click.option(
    "--curves",
    type=options.FIGURE,
    help="Draw loss and accuracy while training, to a .png or .svg file.",
)
@options.data_dir
@options.as_json
def command(
    recipe: str,
    architecture: str,
    seed: int,
    output: Path | None,
    resume: bool,
    curves: Path | None,
    data_dir: Path,
    as_json: bool,
    **settings: Any,  # noqa: ANN401 - one for each entry of SETTINGS and AUGMENTATION
) -> None:
    """Train the digit classifier and write a checkpoint.

    The same seed gives the same file, byte for byte, with the same versions. Accuracy is measured on 5,000 training
    images that are held back; the test images are for `mnist-edge evaluate`.

    What the recipe says can be changed one by one. After each epoch the training is saved beside the checkpoint, so
    that an interrupted one goes on with --resume and ends with the same bytes.
    """
    _round_the_same_way_every_time()
    from mnist_edge.training.checkpoint import make_checkpoint, save_checkpoint
    from mnist_edge.training.datasets.mnist import load_training_data
    from mnist_edge.training.train_state import Plan, load_training, resume_path

    output = output or Path(f"checkpoints/mnist-{architecture}.safetensors")
    data = load_training_data(data_dir)
    plan = Plan(architecture, _recipe(recipe, architecture, settings), seed, data.digest)
    if resume:
        training, interrupted = load_training(resume_path(output))
        _same(plan, interrupted)
    else:
        _not_forgotten(resume_path(output))
        training = plan.begin()
    _run(training, plan, data, output, curves)
    checkpoint = make_checkpoint(training, plan, data)
    save_checkpoint(output, checkpoint)
    resume_path(output).unlink(missing_ok=True)
    accuracy = checkpoint.history[-1].accuracy
    if as_json:
        result = {"checkpoint": str(output), "sha256": checkpoint.digest, "validation_accuracy": accuracy}
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(f"{output}: {accuracy:.2%} of the 5,000 held-back training images")


def _recipe(name: str, architecture: str, settings: dict[str, Any]) -> Any:  # noqa: ANN401 - Recipe is imported late
    """Return the recipe with the settings that were given."""
    from mnist_edge.training.recipe import recipe_for

    recipe = recipe_for(name, architecture)
    given = {key: value for key, value in settings.items() if value is not None}
    changes = {key: given.pop(key) for key in list(given) if key in AUGMENTATION}
    return dataclasses.replace(recipe, **given, augmentation=dataclasses.replace(recipe.augmentation, **changes))


def _same(asked: "Plan", interrupted: "Plan") -> None:
    """Refuse to go on with a training that is not the one asked for."""
    from mnist_edge.errors import UserError

    if asked != interrupted:
        raise UserError(
            "the interrupted training is another one (architecture, recipe, seed or data differ): "
            "give the same options, or leave out --resume to begin anew"
        )


def _not_forgotten(path: Path) -> None:
    """Refuse to write over an interrupted training."""
    from mnist_edge.errors import UserError

    if path.exists():
        raise UserError(f"{path} holds an interrupted training: go on with --resume, or remove it to begin anew")


def _run(training: "Training", plan: "Plan", data: "TrainingData", output: Path, curves: Path | None) -> None:
    """Train to the end, saving after each epoch. Ctrl-C stops with the last whole epoch saved."""
    from mnist_edge.training.loop import train_epoch
    from mnist_edge.training.train_state import resume_path, save_training

    drawn = 0.0
    with _Progress(plan.recipe.epochs) as progress:
        try:
            while len(training.history) < plan.recipe.epochs:
                progress.on_epoch(train_epoch(training, data, progress.on_step))
                save_training(resume_path(output), training, plan)
                last = len(training.history) == plan.recipe.epochs
                if curves and (last or time.monotonic() - drawn > DRAW_EVERY):
                    _draw(training.history, curves)
                    drawn = time.monotonic()
        except KeyboardInterrupt:
            saved = bool(training.history)
            advice = "go on with the same command and --resume" if saved else "nothing was saved yet"
            click.echo(f"stopped in epoch {len(training.history) + 1}: {advice}", err=True)
            sys.exit(130)


def _draw(history: "list[Epoch]", path: Path) -> None:
    from mnist_edge.training.figures import curves_figure, save_figure

    save_figure(curves_figure(history), path)


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
        finished = (step.epoch - 1) * step.steps + step.step
        self.bar.update(self.task, total=self.epochs * step.steps, completed=finished)
        if step.step % LOSS_EVERY == 0:
            self.bar.print(f"epoch {step.epoch}/{self.epochs}  step {step.step}/{step.steps}  loss {step.loss:.4f}")

    def on_epoch(self, epoch: "Epoch") -> None:
        self.bar.print(
            f"epoch {epoch.epoch}/{self.epochs}  mean loss {epoch.loss:.4f}  held-back accuracy {epoch.accuracy:.2%}"
        )
