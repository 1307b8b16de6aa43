"""How a model is trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; it is written into the checkpoint.

    Attributes:
        name: what the command line calls it.
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: step size of SGD, above 0.
        momentum: momentum of SGD, in [0, 1).
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float


RECIPES: dict[str, Recipe] = {
    "plain": Recipe(name="plain", epochs=15, batch_size=32, learning_rate=0.1, momentum=0.0),
}
