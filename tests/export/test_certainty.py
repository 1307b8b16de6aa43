import dataclasses

import numpy as np
import pytest

from mnist_edge.export.certainty import FALSE_ALARMS, calibrated_certainty, certainty_problems
from mnist_edge.export.parity import Reference
from mnist_edge.export.verify import expected_contract
from mnist_edge.runtime.choice import BUILT_INS
from mnist_edge.runtime.doubt import doubtful
from mnist_edge.runtime.session import open_model
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.data import Split, TrainingData


def test_it_is_the_one_in_the_built_in_model(released: Checkpoint, training_data: TrainingData) -> None:
    certainty = calibrated_certainty(released, training_data.validation)
    assert certainty == pytest.approx(open_model(BUILT_INS["mlp"]).contract.certainty, abs=0.01)


@pytest.mark.parametrize("name", BUILT_INS)
def test_few_good_digits_are_called_uncertain(name: str, test_data: Split) -> None:
    model = open_model(BUILT_INS[name])
    images = test_data.images.numpy()
    alarms = [doubtful(model.predict(image[np.newaxis])[0], model.contract) for image in images]
    assert FALSE_ALARMS / 5 <= np.mean(alarms) <= 0.02


def test_a_certainty_that_calls_much_uncertain_is_a_problem(reference: Reference) -> None:
    contract = expected_contract(reference, "fp32", 18)
    assert certainty_problems(contract, reference) == []
    (line,) = certainty_problems(dataclasses.replace(contract, certainty=9.0), reference)
    assert "of the test images uncertain, expected at most 3%" in line
    (line,) = certainty_problems(dataclasses.replace(contract, certainty="sure"), reference)  # type: ignore[arg-type]
    assert "'sure', expected a number" in line
