import numpy as np
import pytest

from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import Runner, predict_in_batches
from mnist_edge.formats.sandboxed import CALL_IMAGES, predict_batches
from mnist_edge.sandbox.client import Arrays, Values
from mnist_edge.types import Images


class Doubler:
    """A session whose logits are two values of each image, and which keeps what it was called with."""

    def __init__(self, *, wrong: bool = False) -> None:
        self.calls: list[tuple[int, int]] = []
        self.wrong = wrong

    def call(self, name: str, values: Values | None = None, arrays: Arrays | None = None) -> tuple[Values, Arrays]:
        assert name == "predict"
        assert values is not None
        assert arrays is not None
        images = arrays["images"]
        self.calls.append((len(images), values["batch"]))
        logits = images.reshape(len(images), 4)[:, :2] * 2
        return {}, {} if self.wrong else {"logits": logits}

    def close(self) -> None: ...


def images(count: int) -> Images:
    return np.arange(count * 4, dtype=np.float32).reshape(count, 1, 2, 2)


@pytest.mark.parametrize(
    ("count", "batch", "calls"),
    [
        (5, 1, [(5, 1)]),
        (2 * CALL_IMAGES + 1, 1, [(CALL_IMAGES, 1), (CALL_IMAGES, 1), (1, 1)]),
        (CALL_IMAGES, 7, [(994, 7), (6, 7)]),
        (2 * CALL_IMAGES, 2 * CALL_IMAGES, [(2 * CALL_IMAGES, 2 * CALL_IMAGES)]),
        (0, 7, [(0, 7)]),
    ],
)
def test_a_call_takes_many_batches_and_splits_none(count: int, batch: int, calls: list[tuple[int, int]]) -> None:
    session = Doubler()
    logits = predict_batches(session, images(count), batch)
    assert np.array_equal(logits, images(count).reshape(count, 4)[:, :2] * 2)
    assert session.calls == calls


def test_an_answer_without_logits_is_an_error() -> None:
    with pytest.raises(ArtifactError, match="no logits"):
        predict_batches(Doubler(wrong=True), images(3), 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist-mlp.pt", "mnist-mlp-int8.pt", "mnist-mlp.pt2"])
def test_batches_in_the_sandbox_are_those_given_one_by_one(name: str, exported: list[Artifact]) -> None:
    path = next(artifact.path for artifact in exported if artifact.path.name == name)
    some = np.random.default_rng(0).random((50, 1, 28, 28), np.float32)
    with open_artifact(read_artifact(path)) as runner:
        assert runner.predict_batches is not None
        for batch in (1, 7):
            there = runner.predict_in_batches(some, batch)
            assert np.array_equal(there, predict_in_batches(runner.predict, some, batch))
        assert runner.predict(some[:0]).shape == (0, 10)


def test_more_logits_than_labels_are_an_error(exported: list[Artifact]) -> None:
    with open_artifact(read_artifact(exported[0].path)) as runner:
        wrong = Runner(
            runner.contract,
            runner.metadata,
            runner.predict,
            predict_batches=lambda some, _: np.zeros((len(some), 11), np.float32),
        )
        with pytest.raises(ArtifactError, match="11 logits for 10 labels"):
            wrong.predict_in_batches(images(2), 1)
