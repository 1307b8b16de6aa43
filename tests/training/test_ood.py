import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.augment import augment
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.loop import predict_logits
from mnist_edge.training.ood import (
    PICTURE_STRENGTH,
    REJECTION_RATE,
    Thresholds,
    choose_thresholds,
    energy_scores,
    fit_thresholds,
    margin_scores,
    thresholds_of,
)


def missed(logits: NDArray[np.float32], temperature: float, thresholds: Thresholds) -> float:
    """Return the share of the answers below one threshold or both."""
    energies, margins = energy_scores(logits, temperature), margin_scores(logits, temperature)
    return float(np.mean((energies < thresholds.energy) | (margins < thresholds.margin)))


def test_the_energy_is_the_log_of_the_summed_exponentials() -> None:
    values = np.random.default_rng(0).normal(0, 3, (5, 10)).astype(np.float32)
    assert energy_scores(values, 1.5) == pytest.approx(np.log(np.exp(values / 1.5).sum(axis=1)), rel=1e-6)
    assert energy_scores(np.array([[2000.0, -5.0]], dtype=np.float32)) == pytest.approx(2000)


def test_the_margin_is_between_the_two_greatest_logits() -> None:
    logits = np.array([[1.0, 7.0, 4.5, -3.0], [3.0, 3.0, 0.0, 0.0]], dtype=np.float32)
    assert margin_scores(logits, 2.0) == pytest.approx([1.25, 0])


def test_the_quantile_is_the_same_of_both_scores() -> None:
    scores = np.random.default_rng(0).normal(10, 1, (2, 4000))
    found = choose_thresholds(scores[0], scores[1], 0.02)
    below = [np.mean(row < threshold) for row, threshold in zip(scores, (found.energy, found.margin), strict=True)]
    assert below == pytest.approx([0.01, 0.01], abs=0.002)  # two scores that have nothing to do with one another
    alike = choose_thresholds(scores[0], 2 * scores[0], 0.02)
    assert np.mean(scores[0] < alike.energy) == pytest.approx(0.02, abs=1e-3)
    assert alike.margin == pytest.approx(2 * alike.energy, abs=0.002)
    assert choose_thresholds(-scores[0], scores[1], 0.02).energy == 0


def test_they_are_those_in_the_built_in_model(released: Checkpoint) -> None:
    contract = open_artifact(read_artifact(BUILTIN_MODELS["mlp"])).contract
    assert released.thresholds == Thresholds(contract.energy_threshold, contract.margin_threshold)


def test_that_share_of_the_distorted_validation_digits_misses_them(
    released: Checkpoint, training_data: TrainingData
) -> None:
    model, validation, temperature = released.build(), training_data.validation, released.temperature
    assert released.recipe is not None
    by = released.recipe.augmentation
    found = fit_thresholds(model, validation, by, temperature)
    assert [found.energy, found.margin] == pytest.approx(
        [released.thresholds.energy, released.thresholds.margin], abs=0.002
    )
    generator = torch.Generator().manual_seed(0)
    distorted = augment(validation.images, validation.labels, by.times(PICTURE_STRENGTH), generator)
    assert missed(predict_logits(model, distorted).numpy(), temperature, found) == pytest.approx(
        REJECTION_RATE, abs=2e-4
    )
    assert missed(predict_logits(model, validation.images).numpy(), temperature, found) < REJECTION_RATE * 0.55


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_few_good_digits_are_called_uncertain(name: str, test_data: Split) -> None:
    with open_artifact(read_artifact(BUILTIN_MODELS[name])) as runner:
        logits = runner.predict_in_batches(test_data.images.numpy(), 1)
    contract = runner.contract
    thresholds = Thresholds(contract.energy_threshold, contract.margin_threshold)
    assert REJECTION_RATE / 5 <= missed(logits, contract.temperature, thresholds) <= REJECTION_RATE


def test_log_probabilities_are_judged_by_their_margin_alone(released: Checkpoint, training_data: TrainingData) -> None:
    logits = predict_logits(released.build(), training_data.validation.images)
    found = thresholds_of(torch.log_softmax(logits, dim=1).numpy(), 1.3)
    assert found.energy == 0
    margins = margin_scores(logits.numpy(), 1.3)
    assert float((margins < found.margin).mean()) == pytest.approx(REJECTION_RATE, abs=2e-3)
    assert thresholds_of(logits.numpy(), 1.3).energy > 0


def test_logits_whose_thresholds_no_checkpoint_may_have_are_one_line() -> None:
    logits = np.eye(10, dtype=np.float32)
    assert Thresholds.from_fields(dataclasses.asdict(thresholds_of(logits * 1e6, 1.0))).margin == 1e6
    with pytest.raises(UserError, match=r"a threshold of 1e\+07, expected at most 1,000,000; divide them"):
        thresholds_of(logits * 1e7, 1.0)
