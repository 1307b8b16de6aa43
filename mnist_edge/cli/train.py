"""`mnist-edge train`: from a data set to a checkpoint."""

import dataclasses
import sys
import time
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.artifact.contract import NO_LICENSE
from mnist_edge.artifact.names import file_stem, is_own, recorded_name
from mnist_edge.cli import data_options, edge, options, outputs, recipe_options, torch_setup
from mnist_edge.cli.output import note, say, say_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mnist_edge.training.architectures.own import OwnArchitecture
    from mnist_edge.training.checkpoint import Checkpoint
    from mnist_edge.training.recipe import Recipe
    from mnist_edge.training.train_state import Epoch, TrainingConfig, TrainState

SECONDS_BETWEEN_CURVES = 10.0
"""The curves are drawn again at most this often, and after the last epoch."""


@click.command()
@recipe_options.recipe
@recipe_options.architecture
@recipe_options.teachers
@data_options.options_of_data
@torch_setup.device
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**62),
    default=0,
    show_default=True,
    help="What the weights, the order of the images and the augmentation are drawn from.",
)
@click.option(
    "-o",
    "--output",
    type=outputs.OutputPath(outputs.CHECKPOINT),
    show_default="checkpoints/<task>-<arch>.safetensors",
    help="The checkpoint to write; its history goes beside it, as .csv.",
)
@outputs.force
@options.license_of_weights
@click.option("--resume", is_flag=True, help="Continue the interrupted training of this checkpoint.")
@click.option(
    "--curves",
    type=outputs.OutputPath(outputs.FIGURE),
    show_default="not drawn",
    help="Draw loss and accuracy while training, to a .png or .svg file.",
)
@click.option(
    "--log-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="not written",
    help="Folder for event files that TensorBoard shows; needs the `tensorboard` extra.",
)
@click.option(
    "--log-every",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Also print the loss each time after so many steps; 0 for never.",
)
@torch_setup.threads
@options.data_dir
@options.quiet
@options.as_json
@recipe_options.settings
@edge.read_to_the_end()
def command(
    recipe: str,
    architecture: str,
    teachers: tuple[Path, ...],
    dataset: str,
    image_size: int | None,
    color: bool,
    preprocessing: str | None,
    device: str,
    seed: int,
    output: Path | None,
    force: bool,
    license_: str,
    resume: bool,
    curves: Path | None,
    log_dir: Path | None,
    log_every: int,
    threads: int,
    data_dir: Path,
    quiet: bool,
    as_json: bool,
    **settings: Any,  # noqa: ANN401 - one for each setting of a recipe
) -> None:
    """Train a classifier and write a checkpoint.

    The same seed gives the same file, byte for byte, with the same versions and --device cpu; for --arch cnn, also with
    the same --threads. Accuracy is measured on the validation images, which are held back from the training images; the
    test images are for `mnist-edge evaluate`.

    Each setting of the recipe can be overridden. After each epoch the training is saved beside the checkpoint, so that
    an interrupted one continues with --resume and ends with the same bytes.
    """
    if quiet and log_every:
        raise click.UsageError("--quiet and --log-every exclude each other.")
    source = data_options.open_data(dataset, data_dir, seed, image_size, color, preprocessing)
    task = source.task
    output = output or Path("checkpoints") / f"{file_stem(task, architecture)}.safetensors"
    _check_outputs(output, curves, log_dir, teachers, force=force)
    torch_setup.wait_passively()
    torch_setup.round_reproducibly()
    from mnist_edge.atomic import transaction
    from mnist_edge.cli.training_progress import Progress, TrainingProgress
    from mnist_edge.training.files import history_path, resume_path

    with Progress("starting", quiet=quiet):
        from mnist_edge.training.architectures.own import load_architecture
        from mnist_edge.training.checkpoint import make_checkpoint
        from mnist_edge.training.history import history_table, tensorboard_log
        from mnist_edge.training.loop import train_epoch
        from mnist_edge.training.recipe import check_suits
        from mnist_edge.training.teachers import build_teachers, check_parts, load_teachers
        from mnist_edge.training.train_state import TrainingConfig

        draw = _curves_drawer(curves) if curves else None

    own = load_architecture(architecture) if is_own(architecture) else None
    given = data_options.given_options(dataset, data_dir, image_size, color, preprocessing)
    with torch_setup.torch_threads(threads), redirect_stdout(sys.stderr):  # results come after it
        chosen = recipe_options.recipe_with(recipe, architecture, settings)
        check_suits(chosen, task)
        taught_by = load_teachers(teachers, chosen, task)
        data = data_options.noted(source.load_training_data())
        images = len(data.train)
        check_parts(teachers, taught_by, data)
        chosen = _for_images(chosen, images, settings, quiet=quiet)
        taught = tuple(teacher.digest for teacher in taught_by)
        config = TrainingConfig(task, recorded_name(architecture), chosen, seed, data.digest, taught, license_, threads)
        state = _begin(config, own, output, given, teachers, images=images, resume=resume)
        state.to(torch_setup.device_of(device))
        train = partial(train_epoch, teachers=build_teachers(taught_by, torch_setup.device_of(device)))
        log = tensorboard_log(log_dir, len(state.history), chosen, images) if log_dir else nullcontext()
        drawing = _at_times(draw, state.history, chosen.epochs) if draw else None
        with TrainingProgress(chosen.epochs, log_every=log_every, quiet=quiet) as progress, log as log_epoch:
            followers = filter(None, (progress.on_epoch, log_epoch, drawing))
            _run(_epochs(partial(train, state, data, progress.on_step), own), state, config, output, list(followers))
        if draw:
            draw(state.history)
        checkpoint = make_checkpoint(state, config, data, own)
    with transaction() as changes:
        changes.write(output, checkpoint.to_bytes())
        changes.write(history_path(output), history_table(state.history, chosen, images))
    resume_path(output).unlink(missing_ok=True)
    _report(output, checkpoint, len(data.validation), as_json=as_json)


def _report(output: Path, checkpoint: "Checkpoint", validation: int, *, as_json: bool) -> None:
    accuracy = checkpoint.history[-1].accuracy
    if as_json:
        say_json({"checkpoint": str(output), "sha256": checkpoint.digest, "validation_accuracy": accuracy})
    else:
        say(f"{output}: {accuracy:.2%} of the {validation:,} validation images")


def _for_images(recipe: "Recipe", count: int, settings: dict[str, Any], *, quiet: bool) -> "Recipe":
    """Return the recipe for so many images, unless that was given, and say on stderr what few images change in it."""
    if any(settings[name] is not None for name in ("batch_size", "learning_rate", "muon_learning_rate")):
        return recipe
    fitted = recipe.for_images(count)
    if fitted != recipe and not quiet:
        muon = f" --muon-learning-rate {fitted.muon_learning_rate:g}" if fitted.muon_learning_rate else ""
        note(
            f"{count} images are few for batches of {recipe.batch_size}: "
            f"--batch-size {fitted.batch_size} --learning-rate {fitted.learning_rate:g}{muon}"
        )
    return fitted


def _check_outputs(
    output: Path, curves: Path | None, log_dir: Path | None, teachers: tuple[Path, ...], *, force: bool
) -> None:
    """Find out before the work whether everything that a training writes can be written, and is not a teacher."""
    from mnist_edge.atomic import check_writable
    from mnist_edge.errors import UserError
    from mnist_edge.training.files import history_path, resume_path

    wanted = ((output, outputs.CHECKPOINT), (history_path(output), outputs.HISTORY), (curves, outputs.FIGURE))
    outputs.check_outputs(*wanted, force=force)
    if output.exists() and any(teacher.exists() and output.samefile(teacher) for teacher in teachers):
        raise UserError(f"{output} is a teacher, which its student would overwrite: name another --output")
    check_writable(resume_path(output))
    if log_dir:
        check_writable(log_dir, folder=True)


def _begin(
    config: "TrainingConfig",
    own: "OwnArchitecture | None",
    output: Path,
    source: tuple[str, ...],
    teachers: tuple[Path, ...],
    *,
    images: int,
    resume: bool,
) -> "TrainState":
    """Return a new training, or with `resume` the interrupted one; `source` are the options that name the data.

    Raises:
        UserError: there is no interrupted training to resume, or one that would be lost, or it has other options.
    """
    from mnist_edge.errors import UserError
    from mnist_edge.training.architectures.registry import SAME_FOR_ANY_THREADS
    from mnist_edge.training.files import resume_path
    from mnist_edge.training.train_state import load_train_state

    path = resume_path(output)
    if not resume and not path.exists():
        return config.init_train_state(own)
    state, interrupted = load_train_state(path, own)
    named = own.spec if own and own.name == interrupted.architecture else interrupted.architecture
    few = interrupted.recipe.for_images(images) != interrupted.recipe  # else these would be chosen by their number
    given = recipe_options.given_options(interrupted.recipe, named, interrupted.seed, batches=few)
    same = config.teachers == interrupted.teachers
    named_teachers = map(str, teachers) if same else (f"sha256:{digest[:12]}" for digest in interrupted.teachers)
    taught = (word for name in named_teachers for word in ("--teacher", name))
    places = ("--output", str(output), *source, *taught)
    places += () if interrupted.license == NO_LICENSE else ("--license", interrupted.license)
    places += () if interrupted.threads == 1 else ("--threads", str(interrupted.threads))
    again = (
        f"continue it with `{recipe_options.command_line(given, *places, '--resume')}`, or remove {path} to begin again"
    )
    if not resume:
        done = f"{len(state.history)} of {interrupted.recipe.epochs} epochs"
        raise UserError(f"there is an interrupted training of {output} ({done}): {again}")
    if config.architecture in SAME_FOR_ANY_THREADS:
        config = dataclasses.replace(config, threads=interrupted.threads)
    if config != interrupted:
        differences = recipe_options.differences(interrupted, config)
        raise UserError(f"the interrupted training has other options ({differences}): {again} without --resume")
    return state


def _epochs(train: "Callable[[], Epoch]", own: "OwnArchitecture | None") -> "Callable[[], Epoch]":
    """Return what trains an epoch, with one line for what a network of the user's raises as it learns."""
    return train if own is None else partial(own.run_with_gradients, "in training", train)


def _run(
    train: "Callable[[], Epoch]",
    state: "TrainState",
    config: "TrainingConfig",
    output: Path,
    on_epoch: "list[Callable[[Epoch], None]]",
) -> None:
    """Train to the end, an epoch with each call of `train`, saving after it. Ctrl-C stops with the last one saved."""
    from mnist_edge.training.files import resume_path
    from mnist_edge.training.train_state import save_train_state

    try:
        while len(state.history) < config.recipe.epochs:
            epoch = train()
            save_train_state(resume_path(output), state, config)
            for take in on_epoch:
                take(epoch)
    except KeyboardInterrupt:
        saved = resume_path(output).exists()
        advice = "continue with the same command and --resume" if saved else "nothing was saved yet"
        note(f"stopped in epoch {len(state.history) + 1}: {advice}")
        sys.exit(130)


def _curves_drawer(path: Path) -> "Callable[[list[Epoch]], None]":
    """Return a function that draws the curves of a history to a file; imports matplotlib."""
    from mnist_edge.training.figures import curves_figure, save_figure

    return lambda history: save_figure(curves_figure(history), path)


def _at_times(draw: "Callable[[list[Epoch]], None]", history: "list[Epoch]", epochs: int) -> "Callable[[Epoch], None]":
    """Return a function to be called after each epoch, which draws at times; not after the last, when all is drawn."""
    drawn = -SECONDS_BETWEEN_CURVES

    def follow(epoch: "Epoch") -> None:
        nonlocal drawn
        if epoch.epoch < epochs and time.monotonic() - drawn > SECONDS_BETWEEN_CURVES:
            draw(history)
            drawn = time.monotonic()

    return follow
