"""What every open artifact does, whatever its runtime is."""

import dataclasses

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Images, Logits
from tests.formats.c.networks import made, request_for


def failing(images: Images, batch: int = 1) -> Logits:
    raise ArtifactError(f"a runtime was given {len(images)} images in batches of {batch}")


@pytest.fixture
def runner() -> Runner:
    """One of a network of three labels, whose runtime takes nothing."""
    contract = request_for(*made("linear"), quantized=False).contract
    return Runner(contract, {}, failing, predict_batches=failing)


def test_no_images_have_no_logits_and_no_runtime_is_asked_for_them(runner: Runner) -> None:
    nothing = np.zeros((0, 1, 3, 4), np.float32)
    for each in (runner, dataclasses.replace(runner, predict_batches=None)):
        for logits in (each.predict(nothing), each.predict_in_batches(nothing, 7)):
            assert logits.shape == (0, 3)
            assert logits.dtype == np.float32


def test_images_are_given_to_the_runtime(runner: Runner) -> None:
    with pytest.raises(ArtifactError, match="was given 2 images"):
        runner.predict(np.zeros((2, 1, 3, 4), np.float32))
