"""`mnist-edge tune`: a search for settings that train better."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options
from mnist_edge.cli.output import note, say, say_json
from mnist_edge.text import caption

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from mnist_edge.training.recipe import Recipe


@click.command()
@click.option("--trials", type=click.IntRange(min=0), default=20, show_default=True, help="To run in this call.")
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Of each trial.")
@click.option("--recipe", type=click.Choice(["plain", "robust"]), default="robust", show_default=True)
@click.option("--arch", "architecture", type=click.Choice(["mlp", "cnn"]), default="mlp", show_default=True)
@click.option("--seed", type=click.IntRange(min=0, max=2**31), default=0, show_default=True)
@click.option("--study", default="mnist-edge", show_default=True, help="Name; one that exists is continued.")
@click.option(
    "--storage",
    default="sqlite:///checkpoints/tune.db",
    show_default=True,
    help="Where trials are kept: any URL that Optuna takes. Several processes or machines may share one.",
)
@click.option("--figure", type=options.FIGURE, help="Draw what mattered, to a .png or .svg file.")
@options.data_dir
@options.as_json
def command(
    trials: int,
    epochs: int,
    recipe: str,
    architecture: str,
    seed: int,
    study: str,
    storage: str,
    figure: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Search learning rate, momentum, batch size, weight decay and strength of augmentation with Optuna.

    Trials are compared on the validation images; those below the median of the others are stopped early.
    The same command again continues the study. Prints the command that trains the best trial.
    """
    from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET, load_training_data
    from mnist_edge.training.figures import importance_figure, save_figure
    from mnist_edge.training.recipe import recipe_for
    from mnist_edge.training.tune import Search, best_recipe, importance, open_study, tune

    options.check_outputs(figure)
    base = recipe_for(recipe, architecture)
    search = Search(DATASETS[DEFAULT_DATASET].task, architecture, base, epochs, seed)
    found = open_study(storage, study, search)
    tune(found, search, load_training_data(DEFAULT_DATASET, data_dir), trials, _report)
    best = best_recipe(found, base)
    train = _command(best, base, architecture)
    if as_json:
        say_json({"accuracy": found.best_value, "settings": found.best_params, "train": train})
    else:
        say(f"best of {len(found.trials)} trials: {found.best_value:.2%} after {epochs} epochs; train it with")
        say(train)
    if figure:
        save_figure(importance_figure(importance(found), caption(study)), figure)


def _report(trial: "FrozenTrial") -> None:
    value = "" if trial.value is None else f"{trial.value:.2%}"
    settings = "  ".join(f"{name} {setting:.4g}" for name, setting in trial.params.items())
    note(f"trial {trial.number}: {trial.state.name.lower()} {value}  {settings}")


def _command(recipe: "Recipe", base: "Recipe", architecture: str) -> str:
    """Return the command line that trains a recipe, given the one that it was derived from."""
    words = ["mnist-edge", "train", "--recipe", base.name, "--arch", architecture]
    for tuned, original in ((recipe, base), (recipe.augmentation, base.augmentation)):
        for field in dataclasses.fields(tuned):
            value = getattr(tuned, field.name)
            if field.name != "augmentation" and value != getattr(original, field.name):
                words += [f"--{field.name.replace('_', '-')}", f"{value!r}"]
    return shlex.join(words)
