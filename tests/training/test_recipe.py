import dataclasses
import json
import math
from typing import Any

import pytest

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.training.augment import OF_ANY_IMAGES, Augmentation
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.recipe import PLAIN, RECIPES, STROKES, Recipe, check_suits, recipe_for
from mnist_edge.types import TensorSpec

CHANGES = [field.name for field in dataclasses.fields(Augmentation) if field.name not in OF_ANY_IMAGES]
"""The changes for handwriting."""


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = dataclasses.replace(PLAIN, epochs=10, learning_rate=0.4, warmup_epochs=2, lr_schedule="cosine")
    sizes = [recipe.learning_rate * recipe.learning_rate_share_at(step, 100) for step in range(1000)]
    assert sizes[0] == pytest.approx(0.4 / 200, rel=0.01)
    assert max(sizes) == pytest.approx(0.4 * (1 + math.cos(0.2 * math.pi)) / 2, rel=0.01)
    assert sizes.index(max(sizes)) == 199
    assert sizes[500] == pytest.approx(0.2)
    assert sizes[-1] < 1e-5
    assert PLAIN.learning_rate_share_at(10**6, 100) == 1


@pytest.mark.parametrize(
    ("count", "batch"), [(55_000, 32), (320, 32), (319, 31), (126, 12), (100, 10), (79, 8), (5, 8)]
)
def test_few_images_are_learned_in_small_batches_with_a_learning_rate_in_proportion(count: int, batch: int) -> None:
    recipe = dataclasses.replace(PLAIN, muon_learning_rate=0.02).for_images(count)
    assert recipe.batch_size == batch
    assert recipe.learning_rate == pytest.approx(PLAIN.learning_rate * batch / PLAIN.batch_size)
    assert recipe.muon_learning_rate == pytest.approx(0.02 * batch / PLAIN.batch_size)
    for rate in (recipe.learning_rate, recipe.muon_learning_rate):
        assert float(f"{rate:g}") == rate, "what is printed is what is learned with"
    assert recipe.for_images(count) == recipe


def test_the_learning_rate_of_enough_images_is_as_it_was_given() -> None:
    recipe = dataclasses.replace(PLAIN, learning_rate=0.123456789)
    assert recipe.for_images(55_000) == recipe


def test_it_decays_with_the_square_of_the_time() -> None:
    recipe = dataclasses.replace(recipe_for("diverse", "mlp"), epochs=10, augmentation_decay=0.5)
    assert recipe.augmentation_at(1) == STROKES
    assert recipe.augmentation_at(9) == STROKES.times(1 - 0.5 * 0.64)
    assert dataclasses.replace(recipe, augmentation_decay=0.0).augmentation_at(9) is recipe.augmentation


@pytest.mark.parametrize("name", ["robust", "diverse"])
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_those_for_digits_use_every_augmentation_and_outliers(name: str, architecture: str) -> None:
    recipe = recipe_for(name, architecture)
    assert all(getattr(recipe.augmentation, change) > 0 for change in CHANGES)
    assert min(recipe.outlier_share, recipe.outlier_weight) > 0


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


PHOTOS = Task("photos", ("a", "b"), TensorSpec("image", (3, 64, 64)), "resize/1")
LETTERS = DATASETS["emnist-letters"].task


@pytest.mark.parametrize(
    ("name", "task", "suits"),
    [
        ("robust", DATASETS["mnist"].task, True),
        ("diverse", DATASETS["emnist-digits"].task, True),
        ("robust", LETTERS, False),
        ("robust", DATASETS["fashion-mnist"].task, False),
        ("diverse", PHOTOS, False),
        *((name, PHOTOS, True) for name in ("plain", "shapes", "photos")),
    ],
)
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_a_recipe_for_digits_is_refused_for_other_images(name: str, task: Task, suits: bool, architecture: str) -> None:
    if suits:
        check_suits(recipe_for(name, architecture), task)
        return
    with pytest.raises(UserError, match=f"which {task.name} is not: choose --recipe plain, shapes or photos"):
        check_suits(recipe_for(name, architecture), task)


def test_strokes_of_letters_may_be_changed_without_what_knows_digits() -> None:
    recipe = recipe_for("robust", "mlp")
    strokes = dataclasses.replace(recipe.augmentation, glyph_variants=0.0, drawn_digits=0.0)
    check_suits(dataclasses.replace(recipe, augmentation=strokes, outlier_share=0.0), LETTERS)


def test_letters_are_not_mirrored() -> None:
    assert recipe_for("shapes", "cnn").augmentation.mirror == 0
    assert recipe_for("photos", "net.py:Net") == recipe_for("photos", "cnn")
