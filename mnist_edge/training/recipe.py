"""How a model is trained."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from mnist_edge.errors import UserError
from mnist_edge.training.augment import Augmentation

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; it is written into the checkpoint.

    Attributes:
        name: what the command line calls it.
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: greatest step size of SGD, above 0.
        momentum: momentum of SGD, in [0, 1).
        weight_decay: L2 penalty on the weights, at least 0.
        warmup: epochs over which the step size rises from 0, at least 0.
        schedule: what the step size does after: stays, or falls to 0 as half a cosine (Loshchilov and Hutter 2017).
        average: share of the old in the exponential moving average of the weights, a step, in [0, 1); 0 is none.
        augmentation: how the images are changed, anew each time they are seen.
        fade: share of the augmentation's strength that is gone in the end, in [0, 1]; it goes with the time squared.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float = 0.0
    warmup: float = 0.0
    schedule: Schedule = "constant"
    average: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    fade: float = 0.0

    def step_size(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of a training with `steps` steps an epoch."""
        rise = min(1.0, (step + 1) / (self.warmup * steps)) if self.warmup else 1.0
        fall = (1 + math.cos(math.pi * step / (self.epochs * steps))) / 2 if self.schedule == "cosine" else 1.0
        return self.learning_rate * rise * fall

    def augmentation_in(self, epoch: int) -> Augmentation:
        """Return the augmentation of an epoch, counted from 1."""
        if not self.fade:
            return self.augmentation
        return self.augmentation.times(1 - self.fade * ((epoch - 1) / self.epochs) ** 2)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Recipe":
        """Return the recipe that `dataclasses.asdict` wrote; raises `TypeError` or `KeyError` for anything else."""
        return cls(**{**fields, "augmentation": Augmentation(**fields["augmentation"])})


STROKES = Augmentation(
    rotation=12.0,
    shear=0.18,
    scale=0.14,
    shift=1.2,
    elastic=1.1,
    thickness=0.8,
    blur=0.8,
    gamma=0.6,
    harden=0.8,
    broken=0.1,
    habits=0.35,
)
"""Other hands and other pens, as far as a person still reads the digit."""

PLAIN = Recipe(name="plain", epochs=15, batch_size=32, learning_rate=0.1, momentum=0.0)

RECIPES: dict[str, dict[str, Recipe]] = {
    "plain": {"mlp": PLAIN, "cnn": PLAIN},
    "robust": {
        "mlp": Recipe(
            name="robust",
            epochs=350,
            batch_size=128,
            learning_rate=0.1,
            momentum=0.9,
            warmup=5,
            schedule="cosine",
            average=0.9995,
            augmentation=STROKES,
            fade=0.5,
        ),
        "cnn": Recipe(
            name="robust",
            epochs=80,
            batch_size=128,
            learning_rate=0.1,
            momentum=0.9,
            weight_decay=1e-4,
            warmup=2,
            schedule="cosine",
            average=0.9995,
            augmentation=STROKES,
            fade=0.6,
        ),
    },
}
"""The recipes, by name and architecture."""


def recipe_for(name: str, architecture: str) -> Recipe:
    """Return a recipe.

    Raises:
        UserError: there is none of that name for that architecture.
    """
    try:
        return RECIPES[name][architecture]
    except KeyError as error:
        raise UserError(f"no recipe {name!r} for {architecture!r}: expected one of {', '.join(RECIPES)}") from error
