import math

import pytest
import torch

from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.outliers import draw_outliers, exposure_loss


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 7, 32])
def test_outliers_are_as_many_as_asked_and_depend_on_the_generator_alone(count: int, few: TrainingData) -> None:
    images, labels = few.train.images[:100], few.train.labels[:100]
    first, second, third = (draw_outliers(images, labels, count, generator(seed)) for seed in (0, 0, 1))
    assert first.shape == (count, 1, 28, 28)
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_none_is_one_of_the_digits(few: TrainingData) -> None:
    images, labels = few.train.images[:50], few.train.labels[:50]
    outliers = draw_outliers(images, labels, 400, generator(0))
    assert (outliers.flatten(1)[:, None] - images.flatten(1)).abs().amax(dim=2).min() > 0.3


def test_digits_that_can_not_be_turned_are_enough(few: TrainingData) -> None:
    zeros = few.train.images[few.train.labels == 0][:5]
    assert len(draw_outliers(zeros, torch.zeros(5, dtype=torch.int64), 20, generator(0))) == 20


def test_the_loss_is_least_where_no_label_is_preferred() -> None:
    assert exposure_loss(torch.full((3, 10), 7.0)).item() == pytest.approx(math.log(10))
    assert exposure_loss(torch.eye(10)).item() > math.log(10)
