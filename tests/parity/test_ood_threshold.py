import numpy as np
import pytest

from mnist_edge.parity.ood_threshold import FALSE_ALARMS
from mnist_edge.parity.test_vectors import exact_logits
from mnist_edge.parity.comparison import Reference
from mnist_edge.runtime.builtin_models import BUILT_INS
from mnist_edge.runtime.ood import evidence
from mnist_edge.formats.onnx.runner import open_model
from mnist_edge.training.datasets.mnist import Split


def test_it_is_the_one_in_the_built_in_model(reference: Reference) -> None:
    assert reference.certainty == open_model(BUILT_INS["mlp"]).contract.certainty


def test_that_share_of_the_held_back_digits_has_less(reference: Reference) -> None:
    logits = exact_logits(reference.checkpoint.build(), reference.held_back.images)
    less = [evidence(row, reference.checkpoint.temperature) < reference.certainty for row in logits]
    assert np.mean(less) == pytest.approx(FALSE_ALARMS, abs=2e-4)


@pytest.mark.parametrize("name", BUILT_INS)
def test_few_good_digits_are_called_uncertain(name: str, test_data: Split) -> None:
    model = open_model(BUILT_INS[name])
    images = test_data.images.numpy()
    contract = model.contract
    evidences = [evidence(model.predict(image[np.newaxis])[0], contract.temperature) for image in images]
    assert FALSE_ALARMS / 5 <= np.mean(np.array(evidences) < contract.certainty) <= 0.02
