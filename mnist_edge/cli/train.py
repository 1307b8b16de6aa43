"""`mnist-edge train`: from a data set to a checkpoint."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.cli import options
from mnist_edge.cli.output import note, say, say_json, styled

if TYPE_CHECKING:
    from mnist_edge.training.datasets.splits import TrainingData
    from mnist_edge.training.loop import StepResult
    from mnist_edge.training.recipe import Recipe
    from mnist_edge.training.train_state import Epoch, TrainingConfig, TrainState

STEPS_BETWEEN_LOSSES = 215
"""Steps between two printed losses: eight an epoch at batch 32, two at batch 128."""

SECONDS_BETWEEN_CURVES = 10.0
"""The curves are drawn again at most this often, and after the last epoch."""

_SHARE = options.Finite(min=0, max=1)
_SIZE = options.Finite(min=0)

SETTINGS: dict[str, tuple[click.ParamType[Any], str]] = {
    "epochs": (click.IntRange(min=1), "Passes over the training images."),
    "batch_size": (click.IntRange(min=1), "Images a step."),
    "learning_rate": (options.Finite(min=0, min_open=True), "Greatest learning rate of SGD."),
    "momentum": (options.Finite(min=0, max=1, max_open=True), "Momentum of SGD."),
    "weight_decay": (_SIZE, "L2 penalty on the weights."),
    "warmup_epochs": (_SIZE, "Epochs over which the learning rate rises."),
    "lr_schedule": (click.Choice(["constant", "cosine"]), "Learning-rate schedule after the warm-up."),
    "augmentation_decay": (_SHARE, "Share of the augmentation's strength that is gone at the end."),
    "ema_decay": (options.Finite(min=0, max=1, max_open=True), "Decay of the weight EMA (0 disables it)."),
}
"""An option for each setting of a recipe, except its name and its augmentation."""

AUGMENTATION: dict[str, tuple[click.ParamType[Any], str]] = {
    "rotation": (_SIZE, "Degrees."),
    "shear": (_SIZE, "Horizontal shift per unit of height."),
    "scale": (_SIZE, "Natural logarithm of the factor."),
    "shift": (_SIZE, "Pixels off the center of mass."),
    "elastic": (_SIZE, "Pixels of displacement at the knots of a field."),
    "stroke_jitter": (_SHARE, "Thicker and thinner strokes."),
    "blur": (_SHARE, "Softer strokes."),
    "gamma": (_SIZE, "Natural logarithm of the exponent put on the brightness."),
    "binarize": (_SHARE, "Binarized strokes."),
    "fracture": (_SHARE, "Share of images with faded patches."),
    "glyph_variants": (_SHARE, "Share of ones with flags or feet, of sevens with bars."),
}
"""An option for each change of the augmentation."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each setting of a recipe; None leaves it as the recipe has it."""
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
    help="The checkpoint to write.  [default: checkpoints/<task>-<arch>.safetensors]",
)
@click.option("--resume", is_flag=True, help="Continue the interrupted training of this checkpoint.")
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

    The same seed gives the same file, byte for byte, with the same versions. Accuracy is measured on the validation
    images, which are held back from the training images; the test images are for `mnist-edge evaluate`.

    Each setting of the recipe can be overridden. After each epoch the training is saved beside the checkpoint, so that
    an interrupted one continues with --resume and ends with the same bytes.
    """
    _require_reproducible_rounding()
    from mnist_edge.training.checkpoint import make_checkpoint, save_checkpoint
    from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET, load_training_data
    from mnist_edge.training.train_state import TrainingConfig, load_train_state, resume_path

    task = DATASETS[DEFAULT_DATASET].task
    output = output or Path(f"checkpoints/{task.name}-{architecture}.safetensors")
    options.check_outputs(output, resume_path(output), curves)
    data = load_training_data(DEFAULT_DATASET, data_dir)
    config = TrainingConfig(task, architecture, _recipe(recipe, architecture, settings), seed, data.digest)
    if resume:
        state, interrupted = load_train_state(resume_path(output))
        _require_same(config, interrupted)
    else:
        _require_none(resume_path(output))
        state = config.init_train_state()
    _run(state, config, data, output, curves)
    checkpoint = make_checkpoint(state, config, data)
    save_checkpoint(output, checkpoint)
    resume_path(output).unlink(missing_ok=True)
    accuracy = checkpoint.history[-1].accuracy
    if as_json:
        say_json({"checkpoint": str(output), "sha256": checkpoint.digest, "validation_accuracy": accuracy})
    else:
        say(f"{output}: {accuracy:.2%} of the {len(data.validation):,} validation images")


def _recipe(name: str, architecture: str, settings: dict[str, Any]) -> "Recipe":
    """Return the recipe with the settings that were given."""
    from mnist_edge.training.recipe import recipe_for

    recipe = recipe_for(name, architecture)
    given = {key: value for key, value in settings.items() if value is not None}
    changes = {key: given.pop(key) for key in list(given) if key in AUGMENTATION}
    return dataclasses.replace(recipe, **given, augmentation=dataclasses.replace(recipe.augmentation, **changes))


def _require_same(requested: "TrainingConfig", interrupted: "TrainingConfig") -> None:
    """Refuse to continue a training that is not the requested one."""
    from mnist_edge.errors import UserError

    if requested != interrupted:
        raise UserError(
            "the interrupted training is another one (architecture, recipe, seed or data differ): "
            "give the same options, or leave out --resume to start again"
        )


def _require_none(path: Path) -> None:
    """Refuse to overwrite an interrupted training."""
    from mnist_edge.errors import UserError

    if path.exists():
        raise UserError(f"{path} holds an interrupted training: continue it with --resume, or remove it to start again")


def _run(
    state: "TrainState", config: "TrainingConfig", data: "TrainingData", output: Path, curves: Path | None
) -> None:
    """Train to the end, saving after each epoch. Ctrl-C stops with the last finished epoch saved."""
    from mnist_edge.training.loop import train_epoch
    from mnist_edge.training.train_state import resume_path, save_train_state

    drawn = 0.0
    with _Progress(config.recipe.epochs) as progress:
        try:
            while len(state.history) < config.recipe.epochs:
                progress.on_epoch(train_epoch(state, data, progress.on_step))
                save_train_state(resume_path(output), state, config)
                last = len(state.history) == config.recipe.epochs
                if curves and (last or time.monotonic() - drawn > SECONDS_BETWEEN_CURVES):
                    _draw(state.history, curves)
                    drawn = time.monotonic()
        except KeyboardInterrupt:
            saved = bool(state.history)
            advice = "continue with the same command and --resume" if saved else "nothing was saved yet"
            note(f"stopped in epoch {len(state.history) + 1}: {advice}")
            sys.exit(130)


def _draw(history: "list[Epoch]", path: Path) -> None:
    from mnist_edge.training.figures import curves_figure, save_figure

    save_figure(curves_figure(history), path)


def _require_reproducible_rounding() -> None:
    """Ask Intel MKL, before torch loads it, for results that depend neither on threads nor on where arrays lie.

    Without it, its matrix products may round differently from run to run ("Conditional Numerical Reproducibility" in
    the oneMKL developer guide). It costs no time that could be measured, and where torch has no MKL it does nothing.
    """
    os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")


class _Progress:
    """Losses and accuracies as lines on stderr, and on a terminal that can move its cursor a bar below them."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, color_system="auto" if styled(sys.stderr) else None),
            transient=True,
            disable=not styled(sys.stderr),
        )
        self.task = self.bar.add_task("training", total=None)
        self.epochs = epochs

    def __enter__(self) -> "_Progress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def on_step(self, step: "StepResult") -> None:
        finished = (step.epoch - 1) * step.steps + step.step
        self.bar.update(self.task, total=self.epochs * step.steps, completed=finished)
        if step.step % STEPS_BETWEEN_LOSSES == 0:
            self.bar.print(f"epoch {step.epoch}/{self.epochs}  step {step.step}/{step.steps}  loss {step.loss:.4f}")

    def on_epoch(self, epoch: "Epoch") -> None:
        self.bar.print(
            f"epoch {epoch.epoch}/{self.epochs}  mean loss {epoch.loss:.4f}  validation accuracy {epoch.accuracy:.2%}"
        )
