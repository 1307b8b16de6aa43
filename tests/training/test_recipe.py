import dataclasses
import json
import math
from typing import Any

import pytest

from mnist_edge.errors import UserError
from mnist_edge.training.augment import Augmentation
from mnist_edge.training.recipe import PLAIN, RECIPES, STROKES, Recipe, recipe_for

CHANGES = [field.name for field in dataclasses.fields(Augmentation)]


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = dataclasses.replace(PLAIN, epochs=10, learning_rate=0.4, warmup_epochs=2, lr_schedule="cosine")
    sizes = [recipe.learning_rate * recipe.learning_rate_share_at(step, 100) for step in range(1000)]
    assert sizes[0] == pytest.approx(0.4 / 200, rel=0.01)
    assert max(sizes) == pytest.approx(0.4 * (1 + math.cos(0.2 * math.pi)) / 2, rel=0.01)
    assert sizes.index(max(sizes)) == 199
    assert sizes[500] == pytest.approx(0.2)
    assert sizes[-1] < 1e-5
    assert PLAIN.learning_rate_share_at(10**6, 100) == 1


def test_it_decays_with_the_square_of_the_time() -> None:
    recipe = dataclasses.replace(recipe_for("diverse", "mlp"), epochs=10, augmentation_decay=0.5)
    assert recipe.augmentation_at(1) == STROKES
    assert recipe.augmentation_at(9) == STROKES.times(1 - 0.5 * 0.64)
    assert dataclasses.replace(recipe, augmentation_decay=0.0).augmentation_at(9) is recipe.augmentation


def test_the_diverse_recipe_uses_every_augmentation() -> None:
    assert all(getattr(recipe_for("diverse", "cnn").augmentation, name) > 0 for name in CHANGES)


def test_a_recipe_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(UserError, match="expected one of plain, robust, diverse"):
        recipe_for("fancy", "mlp")


@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_as_it_was(name: str, architecture: str) -> None:
    recipe = recipe_for(name, architecture)
    assert Recipe.from_fields(json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is not a whole number"),
        ({"epochs": True}, "epochs is not a whole number"),
        ({"batch_size": 1.5}, "batch_size is not a whole number"),
        ({"name": ["robust"]}, "name is not a text"),
        ({"momentum": "0.9"}, "momentum is not a finite number"),
        ({"momentum": 1.1}, "momentum is not a finite number from 0 to 1"),
        ({"learning_rate": math.nan}, "learning_rate is not a finite number"),
        ({"learning_rate": math.inf}, "learning_rate is not a finite number"),
        ({"lr_schedule": "linear"}, "lr_schedule is not one of constant, cosine"),
        ({"augmentation": []}, "augmentation is not an object"),
        ({"augmentation": {"rotation": 1.0}}, "is missing"),
        ({"augmentation": {**dataclasses.asdict(STROKES), "blur": 2.0}}, "blur is not a finite number from 0 to 1"),
        ({"nesterov": True}, "'nesterov' is an unknown field"),
    ],
)
def test_settings_of_another_kind_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.from_fields(dataclasses.asdict(PLAIN) | changes)
