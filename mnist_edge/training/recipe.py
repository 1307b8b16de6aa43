"""The settings of a training, and the named sets of them."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.fields import MAX_COUNT, expect_fields, take_integer, take_number, take_object, take_text
from mnist_edge.artifact.names import is_own
from mnist_edge.errors import UserError
from mnist_edge.training.augment import OF_ANY_IMAGES, OF_DIGITS, Augmentation

LrSchedule = Literal["constant", "cosine"]

MIN_STEPS, MIN_BATCH = 10, 8
"""Steps of an epoch, where there are images enough for batches of so many."""

MIN_TEMPERATURE = 1e-3
"""The least temperature of a distillation."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; they are written into the checkpoint.

    Attributes:
        name: what the command line calls it.
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: greatest learning rate of SGD, above 0.
        momentum: momentum of SGD, in [0, 1).
        weight_decay: L2 penalty on the weights, at least 0.
        warmup_epochs: epochs over which the learning rate rises from 0, at least 0.
        lr_schedule: the learning rate after that: constant, or falling to 0 as half a cosine (Loshchilov and Hutter,
            *SGDR: stochastic gradient descent with warm restarts*, 2017).
        ema_decay: share of the old average that an exponential moving average of the weights keeps at each step, in
            [0, 1); 0 for none.
        augmentation: how the images are changed, differently each time they are seen.
        augmentation_decay: share of the augmentation's strength that is gone at the end, in [0, 1]; it goes with the
            square of the time.
        muon_learning_rate: greatest learning rate of Muon (Jordan et al., *Muon: an optimizer for hidden layers in
            neural networks*, 2024), at least 0; it moves the matrices of the fully connected layers before the last,
            which 0 leaves to SGD.
        outlier_share: outliers (`mnist_edge.training.outliers`) for each image of a batch, in [0, 1]; 0 for none.
            A batch of one image gets none, since none can be made from it.
        outlier_weight: of the outliers' loss, their cross-entropy to the uniform distribution, at least 0.
        distillation_weight: of what teachers answer (`mnist_edge.training.distillation`), in [0, 1]; the labels have
            the rest, and 0 is for no teachers.
        distillation_temperature: of the answers that are compared, at least `MIN_TEMPERATURE`.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    lr_schedule: LrSchedule = "constant"
    ema_decay: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    augmentation_decay: float = 0.0
    muon_learning_rate: float = 0.0
    outlier_share: float = 0.0
    outlier_weight: float = 0.0
    distillation_weight: float = 0.0
    distillation_temperature: float = 2.0

    def learning_rate_share_at(self, step: int, steps_per_epoch: int) -> float:
        """Return the share of the greatest learning rate at a step, counted from 0 over all epochs, in [0, 1]."""
        rise = min(1.0, (step + 1) / (self.warmup_epochs * steps_per_epoch)) if self.warmup_epochs else 1.0
        steps = self.epochs * steps_per_epoch
        fall = (1 + math.cos(math.pi * step / steps)) / 2 if self.lr_schedule == "cosine" else 1.0
        return rise * fall

    def augmentation_at(self, epoch: int) -> Augmentation:
        """Return the augmentation of an epoch, counted from 1."""
        if not self.augmentation_decay:
            return self.augmentation
        return self.augmentation.times(1 - self.augmentation_decay * ((epoch - 1) / self.epochs) ** 2)

    def for_images(self, count: int) -> "Recipe":
        """Return the recipe for so many training images: of few, smaller batches, so that an epoch has `MIN_STEPS`.

        The learning rates go with the batch (Goyal et al., *Accurate, large minibatch SGD: training ImageNet in 1
        hour*, 2017), in six digits at most, as somebody would type them.
        """
        batch = min(self.batch_size, max(MIN_BATCH, count // MIN_STEPS))
        if batch == self.batch_size:
            return self
        share = batch / self.batch_size
        sgd, muon = (float(f"{rate * share:g}") for rate in (self.learning_rate, self.muon_learning_rate))
        return dataclasses.replace(self, batch_size=batch, learning_rate=sgd, muon_learning_rate=muon)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Recipe":
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_fields(cls.__dataclass_fields__, fields)
        lr_schedule = take_text(fields, "lr_schedule")
        if lr_schedule not in get_args(LrSchedule):
            raise ValueError(f"lr_schedule is not one of {', '.join(get_args(LrSchedule))}")
        return cls(
            name=take_text(fields, "name"),
            epochs=take_integer(fields, "epochs", 1, MAX_COUNT),
            batch_size=take_integer(fields, "batch_size", 1, MAX_COUNT),
            learning_rate=take_number(fields, "learning_rate", 0),
            momentum=take_number(fields, "momentum", 0, 1),
            weight_decay=take_number(fields, "weight_decay", 0),
            warmup_epochs=take_number(fields, "warmup_epochs", 0),
            lr_schedule=cast(LrSchedule, lr_schedule),
            ema_decay=take_number(fields, "ema_decay", 0, 1),
            augmentation=Augmentation.from_fields(take_object(fields, "augmentation")),
            augmentation_decay=take_number(fields, "augmentation_decay", 0, 1),
            muon_learning_rate=take_number(fields, "muon_learning_rate", 0),
            outlier_share=take_number(fields, "outlier_share", 0, 1),
            outlier_weight=take_number(fields, "outlier_weight", 0),
            distillation_weight=take_number(fields, "distillation_weight", 0, 1),
            distillation_temperature=take_number(fields, "distillation_temperature", MIN_TEMPERATURE),
        )


STROKES = Augmentation(
    rotation=12.0,
    shear=0.25,
    scale=0.22,
    shift=1.2,
    elastic=1.1,
    stroke_jitter=0.8,
    blur=0.8,
    gamma=0.6,
    binarize=0.8,
    fracture=0.1,
    glyph_variants=0.35,
    drawn_digits=0.12,
)
"""Other hands and other pens, as far as a person still reads the digit."""

MNIST_STROKES = dataclasses.replace(STROKES, shear=0.18, scale=0.14, drawn_digits=0.0)
"""The same, nearer to what MNIST's writers wrote."""

PLAIN = Recipe(name="plain", epochs=15, batch_size=32, learning_rate=0.1, momentum=0.0)

ROBUST_MLP = Recipe(
    name="robust",
    epochs=350,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    warmup_epochs=5.0,
    lr_schedule="cosine",
    ema_decay=0.9995,
    augmentation=dataclasses.replace(MNIST_STROKES, glyph_variants=0.15, drawn_digits=0.03),
    augmentation_decay=0.5,
    outlier_share=0.1,
    outlier_weight=0.03,
)
"""A few outliers teach it nearly as much as many; more flagged ones would cost sevens that MNIST writes like them."""

ROBUST_CNN = dataclasses.replace(
    ROBUST_MLP,
    epochs=80,
    weight_decay=1e-4,
    warmup_epochs=2.0,
    augmentation=dataclasses.replace(MNIST_STROKES, drawn_digits=0.06),
    augmentation_decay=0.6,
)


def _diverse(robust: Recipe) -> Recipe:
    """Return a robust recipe with every form of the digits, and many outliers."""
    return dataclasses.replace(robust, name="diverse", augmentation=STROKES, outlier_share=0.25, outlier_weight=0.5)


DIVERSE_CNN = _diverse(ROBUST_CNN)

DIVERSE_MLP = dataclasses.replace(_diverse(ROBUST_MLP), epochs=300, batch_size=256, muon_learning_rate=0.01)


def _distilled(diverse: Recipe, epochs: int) -> Recipe:
    """Return a diverse recipe that learns from teachers, each epoch of which takes more than twice as long."""
    return dataclasses.replace(diverse, name="distilled", epochs=epochs, distillation_weight=0.7)


SHAPES_CNN = Recipe(
    name="shapes",
    epochs=30,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    warmup_epochs=2.0,
    lr_schedule="cosine",
    ema_decay=0.999,
    augmentation=Augmentation(translate=0.08),
)

SHAPES_MLP = dataclasses.replace(SHAPES_CNN, weight_decay=1e-4, augmentation=Augmentation(translate=0.04))


def _mirrored(recipe: Recipe) -> Recipe:
    """Return a recipe for images that may as well be seen in a mirror, as those of objects may, and letters may not."""
    return dataclasses.replace(recipe, name="photos", augmentation=dataclasses.replace(recipe.augmentation, mirror=0.5))


RECIPES: dict[str, dict[str, Recipe]] = {
    "plain": {"mlp": PLAIN, "cnn": PLAIN},
    "robust": {"mlp": ROBUST_MLP, "cnn": ROBUST_CNN},
    "diverse": {"mlp": DIVERSE_MLP, "cnn": DIVERSE_CNN},
    "distilled": {"mlp": _distilled(DIVERSE_MLP, 240), "cnn": _distilled(DIVERSE_CNN, 60)},
    "shapes": {"mlp": SHAPES_MLP, "cnn": SHAPES_CNN},
    "photos": {"mlp": _mirrored(SHAPES_MLP), "cnn": _mirrored(SHAPES_CNN)},
}
"""The recipes, by name and architecture."""


def recipe_for(name: str, architecture: str) -> Recipe:
    """Return a recipe; an architecture of the user's own has those of the CNN.

    Raises:
        UserError: there is none of that name for that architecture.
    """
    try:
        return RECIPES[name]["cnn" if is_own(architecture) else architecture]
    except KeyError as error:
        raise UserError(f"no recipe {name!r} for {architecture!r}: expected one of {', '.join(RECIPES)}") from error


def check_suits(recipe: Recipe, task: Task) -> None:
    """Return if what a recipe does to images keeps the labels of a task.

    Raises:
        UserError: it changes strokes of handwriting, or digits, and the task is of other images.
    """
    handwriting = task.preprocessing.startswith("mnist/") and task.input.shape == (1, 28, 28)
    if handwriting and task.labels == tuple("0123456789"):
        return
    found = [
        name for name in _of_handwriting(recipe) if name in OF_DIGITS or name == "outlier_weight" or not handwriting
    ]
    if not found:
        return
    drawn = any(name in OF_DIGITS or name == "outlier_weight" for name in found)
    why = f"for {'the ten handwritten digits' if drawn else 'handwriting'}, which {task.name} is not"
    if recipe.name in RECIPES and not _of_handwriting(RECIPES[recipe.name]["cnn"]):
        given = ", ".join(f"--{name.replace('_', '-')}" for name in found)
        raise UserError(f"{given} is {why}: leave it out" if len(found) == 1 else f"{given} are {why}: leave them out")
    raise UserError(f"the recipe {recipe.name!r} is {why}: choose --recipe plain, shapes or photos")


def _of_handwriting(recipe: Recipe) -> list[str]:
    """Return the settings of a recipe that are for handwriting or digits alone."""
    strokes = [name for name, value in dataclasses.asdict(recipe.augmentation).items() if value]
    outliers = ["outlier_weight"] if recipe.outlier_share and recipe.outlier_weight else []
    return [name for name in strokes if name not in OF_ANY_IMAGES] + outliers
