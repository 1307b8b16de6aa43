import numpy as np
import pytest

from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.parity.ood_threshold import REJECTION_RATE, fit_energy_threshold
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.test_vectors import exact_logits
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.ood import energy_score
from mnist_edge.training.datasets.splits import Split


def test_it_is_the_one_in_the_built_in_model(reference: Reference) -> None:
    contract = open_artifact(read_artifact(BUILTIN_MODELS["mlp"])).contract
    assert reference.energy_threshold == contract.energy_threshold


def test_that_share_of_the_validation_digits_has_less(reference: Reference) -> None:
    logits = exact_logits(reference.checkpoint.build(), reference.validation.images)
    temperature = reference.checkpoint.temperature
    assert fit_energy_threshold(logits, temperature) == reference.energy_threshold
    less = [energy_score(row, temperature) < reference.energy_threshold for row in logits]
    assert np.mean(less) == pytest.approx(REJECTION_RATE, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_few_good_digits_are_called_uncertain(name: str, test_data: Split) -> None:
    images = test_data.images.numpy()
    with open_artifact(read_artifact(BUILTIN_MODELS[name])) as runner:
        logits = runner.predict_in_batches(images, 1)
    contract = runner.contract
    scores = np.array([energy_score(row, contract.temperature) for row in logits])
    assert REJECTION_RATE / 5 <= np.mean(scores < contract.energy_threshold) <= 0.02
