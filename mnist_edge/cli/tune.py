"""`mnist-edge tune`: a search for settings that train better."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.artifact.names import is_own, recorded_name
from mnist_edge.cli import data_options, edge, options, outputs, recipe_options, torch_setup
from mnist_edge.cli.output import note, say, say_json
from mnist_edge.training.figure_text import drawable

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

    from mnist_edge.training.datasets.splits import TrainingData
    from mnist_edge.training.tune import Search


@click.command()
@click.option(
    "--trials", type=click.IntRange(min=0), default=20, show_default=True, help="Number of trials to run in this call."
)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Epochs of each trial.")
@click.option(
    "--recipe",
    type=click.Choice(recipe_options.WITHOUT_TEACHERS),
    default="robust",
    show_default=True,
    help="What the settings that are not searched are taken from.",
)
@recipe_options.architecture
@data_options.options_of_data
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**31),
    default=0,
    show_default=True,
    help="Seed of each trial's weights, order of images and augmentation, and of the parts of a folder.",
)
@click.option(
    "--study", default="mnist-edge", show_default=True, help="Name of the study; one that exists is continued."
)
@click.option(
    "--storage",
    default="sqlite:///checkpoints/tune.db",
    show_default=True,
    help="Where trials are kept: any URL that Optuna takes, such as postgresql://HOST/NAME, or journal:///FILE. "
    "Several processes or machines may share one.",
)
@click.option(
    "--figure",
    type=outputs.OutputPath(outputs.FIGURE),
    show_default="not drawn",
    help="Draw what mattered, to a .png or .svg file.",
)
@outputs.force
@torch_setup.threads
@options.data_dir
@options.quiet
@options.as_json
@edge.read_to_the_end()
def command(
    trials: int,
    epochs: int,
    recipe: str,
    architecture: str,
    dataset: str,
    image_size: int | None,
    color: bool,
    preprocessing: str | None,
    seed: int,
    study: str,
    storage: str,
    figure: Path | None,
    force: bool,
    threads: int,
    data_dir: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Search learning rate, momentum, batch size, weight decay and strength of augmentation with Optuna.

    Trials are compared on the validation images; those below the median of the others are stopped early.
    The same command again continues the study. Prints the command that trains the best trial.
    """
    source = data_options.open_data(dataset, data_dir, seed, image_size, color, preprocessing)
    outputs.check_outputs((figure, outputs.FIGURE), force=force)
    torch_setup.wait_passively()
    torch_setup.round_reproducibly()
    from mnist_edge.cli.training_progress import Progress

    with Progress("starting", quiet=quiet):
        from mnist_edge.training.architectures.own import load_architecture
        from mnist_edge.training.recipe import check_suits, recipe_for
        from mnist_edge.training.tune import Search, best_recipe, check_importance, ended, importance, open_study

        if figure:  # what it lacks shall show before the trials
            from mnist_edge.training.figures import importance_figure, save_figure

    base = recipe_for(recipe, architecture)
    own = load_architecture(architecture) if is_own(architecture) else None
    check_suits(base, source.task)
    data = data_options.noted(source.load_training_data())
    search = Search(source.task, recorded_name(architecture), base, epochs, seed, data.digest, own)
    found = open_study(storage, study, search)
    if figure:
        check_importance(found, trials)
    with torch_setup.torch_threads(threads):
        _search(found, search, data, trials, quiet=quiet)
    best = best_recipe(found, base)
    given = recipe_options.given_options(best, architecture, seed, batches=True)
    places = data_options.given_options(dataset, data_dir, image_size, color, preprocessing)
    places += () if threads == 1 else ("--threads", str(threads))
    train = recipe_options.command_line(given, *places)
    if as_json:
        say_json({"accuracy": found.best_value, "settings": found.best_params, "train": train})
    else:
        say(f"best of {len(ended(found))} trials: {found.best_value:.2%} after {epochs} epochs; train it with")
        say(train)
    if figure:
        save_figure(importance_figure(importance(found), drawable(study)), figure)


def _search(study: "Study", search: "Search", data: "TrainingData", trials: int, *, quiet: bool) -> None:
    """Run trials and print a line for each. Ctrl-C stops with the trials that have ended kept."""
    from mnist_edge.cli.training_progress import Progress
    from mnist_edge.training.tune import ended, tune

    before = len(ended(study))
    first = len(study.get_trials(deepcopy=False))
    with Progress("epochs of the trials", quiet=quiet) as progress, redirect_stdout(sys.stderr):

        def on_epoch(trial: "Trial", epoch: int) -> None:
            progress.update((trial.number - first) * search.epochs + epoch, trials * search.epochs)

        try:
            tune(study, search, data, trials, lambda trial: progress.line(_described(trial)), on_epoch)
        except KeyboardInterrupt:
            note(f"stopped after {len(ended(study)) - before} of {trials} trials: the same command continues the study")
            sys.exit(130)


def _described(trial: "FrozenTrial") -> str:
    value = "" if trial.value is None else f"{trial.value:.2%}"
    settings = "  ".join(f"{name} {setting:.4g}" for name, setting in trial.params.items())
    return f"trial {trial.number}: {trial.state.name.lower()} {value}  {settings}"
