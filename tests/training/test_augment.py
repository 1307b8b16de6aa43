import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.training.augment import Augmentation, augment, dilate
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.loop import predict_logits
from mnist_edge.training.recipe import STROKES

FIELDS = [field.name for field in dataclasses.fields(Augmentation)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", FIELDS)
def test_each_change_changes_and_keeps_shape_type_and_range(name: str, few: TrainingData) -> None:
    images, labels = few.train.images[:500], few.train.labels[:500]
    before = images.clone()
    by = dataclasses.replace(Augmentation(), **{name: getattr(STROKES, name)})
    result = augment(images, labels, by, generator())
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1
    undistorted = augment(images, labels, Augmentation(rotation=1e-9), generator())  # only resampled, about its center
    assert (result - undistorted).abs().max() > 0.1
    assert torch.equal(images, before)


def test_with_everything_off_the_images_are_the_same_object(few: TrainingData) -> None:
    assert augment(few.train.images, few.train.labels, Augmentation(), generator()) is few.train.images


def test_it_depends_on_the_generator_alone(few: TrainingData) -> None:
    images, labels = few.train.images[:200], few.train.labels[:200]
    first, second, third = (augment(images, labels, STROKES, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_the_released_model_still_reads_validation_digits_that_were_changed(
    training_data: TrainingData, released: Checkpoint
) -> None:
    images, labels = training_data.validation.images, training_data.validation.labels
    assert released.recipe is not None
    changed = augment(images, labels, released.recipe.augmentation, generator())
    answers = predict_logits(released.build(), changed).argmax(dim=1)
    for digit in range(10):
        assert (answers[labels == digit] == digit).float().mean() > 0.85


def test_every_image_gets_a_distortion_of_its_own(few: TrainingData) -> None:
    same = few.train.images[:1].repeat(20, 1, 1, 1)
    changed = augment(same, few.train.labels[:1].repeat(20), Augmentation(rotation=20), generator())
    assert len({image.numpy().tobytes() for image in changed}) == 20


def test_the_distortion_is_about_the_center_of_mass(few: TrainingData) -> None:
    """A digit off its place is brought back to the middle, as the runner's preprocessing does."""
    images, labels = few.train.images[:300], few.train.labels[:300]
    moved = torch.roll(images, (2, -3), dims=(2, 3))
    changed = augment(moved, labels, Augmentation(rotation=1e-6), generator())
    middle = torch.arange(28) + 0.5
    mass = changed.sum(dim=(1, 2, 3))
    assert (
        (changed.sum(dim=(1, 2)) @ middle / mass - 14).abs() < 0.3
    ).float().mean() > 0.85  # rolling brought the rest around an edge
    assert (
        (changed.sum(dim=(1, 3)) @ middle / mass - 14).abs() < 0.3
    ).float().mean() > 0.85  # rolling brought the rest around an edge


def test_glyph_variants_are_of_ones_and_sevens_alone(few: TrainingData) -> None:
    images, labels = few.train.images, few.train.labels
    changed = augment(images, labels, Augmentation(glyph_variants=1.0), generator())
    plain = augment(images, labels, Augmentation(rotation=1e-9), generator())
    ink = (changed.sum(dim=(1, 2, 3)) - plain.sum(dim=(1, 2, 3))).numpy()
    written = np.isin(labels.numpy(), (1, 7))
    assert (ink[written] > 1).mean() > 0.95
    assert np.abs(ink[~written]).max() < 0.5


@given(st.integers(0, 27), st.integers(0, 27))
def test_dilating_a_pixel_gives_its_neighbourhood(row: int, column: int) -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 0.7
    expected = torch.nn.functional.max_pool2d(image, 3, stride=1, padding=1)
    assert torch.equal(dilate(image), expected)


def test_a_strength_scales_every_change() -> None:
    half = STROKES.times(0.5)
    assert all(getattr(half, name) == pytest.approx(getattr(STROKES, name) / 2) for name in FIELDS)
    assert STROKES.times(0) == Augmentation()
    assert STROKES.times(9).blur == 1
