"""The settings of a recipe as options of `mnist-edge train`."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_edge.cli import options

if TYPE_CHECKING:
    from mnist_edge.training.recipe import Recipe
    from mnist_edge.training.train_state import TrainingConfig

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
    "muon_learning_rate": (_SIZE, "Greatest learning rate of Muon for hidden layers (0 leaves them to SGD)."),
    "outlier_share": (_SHARE, "Images that are not a digit for each that is."),
    "outlier_weight": (_SIZE, "Weight of their loss (0 leaves them out)."),
    "distillation_weight": (_SHARE, "Weight of what the teachers answer; the labels have the rest."),
    "distillation_temperature": (options.Finite(min=1e-3), "Temperature of the answers compared."),
    "ema_decay": (options.Finite(min=0, max=1, max_open=True), "Decay of the weight EMA (0 disables it)."),
}
"""An option for each setting of a recipe, except its name and its augmentation."""

AUGMENTATION: dict[str, tuple[click.ParamType[Any], str]] = {
    "rotation": (_SIZE, "Rotate images by up to so many degrees."),
    "shear": (_SIZE, "Shear them by up to this horizontal shift per unit of height."),
    "scale": (_SIZE, "Scale them by a factor of up to e to the power of this."),
    "shift": (_SIZE, "Shift them by up to so many pixels."),
    "elastic": (_SIZE, "Bend strokes by displacements of so many pixels (standard deviation)."),
    "stroke_jitter": (_SHARE, "Make strokes thicker or thinner by up to this share of a pixel."),
    "blur": (_SHARE, "Soften strokes: share of a blurred image that is mixed in at most."),
    "gamma": (_SIZE, "Change the brightness by an exponent of up to e to the power of this."),
    "binarize": (_SHARE, "Harden strokes: share of a black-and-white image that is mixed in at most."),
    "fracture": (_SHARE, "Share of the images in which patches of the strokes fade."),
    "glyph_variants": (_SHARE, "Share of the ones that get flags or feet, and of the sevens that get bars."),
    "drawn_digits": (_SHARE, "Share of digits replaced by drawn ones in rare forms."),
    "translate": (_SHARE, "Move images of any kind along each side by up to this share of it."),
    "mirror": (_SHARE, "Share of images of any kind that are mirrored left to right."),
}
"""An option for each change of the augmentation."""

RECIPE_NAMES = ["plain", "robust", "diverse", "distilled", "shapes", "photos"]
"""The names of the recipes."""

WITHOUT_TEACHERS = [name for name in RECIPE_NAMES if name != "distilled"]
"""Those that learn from labels alone."""

recipe = click.option(
    "--recipe",
    type=click.Choice(RECIPE_NAMES),
    default="plain",
    show_default=True,
    help="Set of settings: robust and diverse for handwritten digits, distilled for those with --teacher, photos for "
    "things that may be mirrored, shapes for those that may not.",
)

teachers = click.option(
    "--teacher",
    "teachers",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="none",
    help="Checkpoint to learn from; may be given more than once. The recipe distilled needs one.",
)

architecture = click.option(
    "--arch",
    "architecture",
    type=options.Architecture(),
    default="mlp",
    show_default=True,
    help="Network: mlp is the quicker, cnn reads better; or your own, whose code is run.",
)


def settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each setting of a recipe; None leaves it as the recipe has it."""
    for name, (kind, text) in reversed((SETTINGS | AUGMENTATION).items()):
        short = ("--lr",) if name == "learning_rate" else ()
        command = click.option(_option(name), *short, type=kind, help=text, show_default="the recipe's")(command)
    return command


def recipe_with(name: str, architecture: str, settings: dict[str, Any]) -> "Recipe":
    """Return the recipe of that name with the settings that were given."""
    from mnist_edge.training.recipe import recipe_for

    recipe = recipe_for(name, architecture)
    given = {key: value for key, value in settings.items() if value is not None}
    changes = {key: given.pop(key) for key in list(given) if key in AUGMENTATION}
    return dataclasses.replace(recipe, **given, augmentation=dataclasses.replace(recipe.augmentation, **changes))


def given_options(recipe: "Recipe", architecture: str, seed: int = 0, *, batches: bool = False) -> dict[str, str]:
    """Return the options of `mnist-edge train`, with their values, that train a recipe.

    With `batches`, the size of a batch and the learning rate are among them, though they are the recipe's own.
    """
    from mnist_edge.training.recipe import recipe_for

    base = recipe_for(recipe.name, architecture)
    given = {"--recipe": recipe.name, "--arch": architecture}
    for changed, original in ((recipe, base), (recipe.augmentation, base.augmentation)):
        for field in dataclasses.fields(changed):
            value = getattr(changed, field.name)
            named = batches and field.name in ("batch_size", "learning_rate")
            if field.name != "augmentation" and (named or value != getattr(original, field.name)):
                given[_option(field.name)] = str(value)
    return given | ({"--seed": str(seed)} if seed else {})


def command_line(given: dict[str, str], *more: str) -> str:
    """Return the command that trains with these options."""
    words = [word for option in given.items() for word in option]
    return shlex.join(["mnist-edge", "train", *words, *more])


def differences(interrupted: "TrainingConfig", requested: "TrainingConfig") -> str:
    """Say in which options an interrupted training differs from the one that was asked for."""
    was, now = (
        {"--seed": "0", "--license": each.license, "--threads": str(each.threads)}
        | given_options(each.recipe, each.architecture, each.seed)
        for each in (interrupted, requested)
    )
    found = [
        f"{option} {was.get(option, 'as in the recipe')}, not {now.get(option, 'as in the recipe')}"
        for option in was | now
        if was.get(option) != now.get(option)
    ]
    if interrupted.data_digest != requested.data_digest or interrupted.task != requested.task:
        found.append("other training images")
    if interrupted.teachers != requested.teachers:
        found.append("other teachers")
    return "; ".join(found)


def _option(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"
