"""An artifact's answers at each batch size and to other inputs, by runners that note what they are asked."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import FLOAT32
from mnist_edge.parity.answers import ODD_BATCH, Answers, check_other_inputs, compare_answers
from mnist_edge.parity.checks import Check
from mnist_edge.parity.logits import largest_logit
from mnist_edge.parity.reference import Reference, eager_predictor
from mnist_edge.parity.steps import nothing
from mnist_edge.types import Images, Logits, PredictInBatches

BATCHES, IMAGES = FLOAT32.tolerance.batches, 40


@pytest.fixture(scope="module")
def part(reference: Reference) -> Reference:
    return reference.part(np.arange(IMAGES))


def runner_of(part: Reference, predict: PredictInBatches, batch: int | None = None) -> Runner:
    """Return a file of the reference's checkpoint that answers so, and takes batches of one size or of any."""
    contract = dataclasses.replace(part.contract(FORMATS["numpy"], FLOAT32, {}), batch=batch)
    metadata = {TEST_VECTORS_KEY: part.test_vectors_for(FLOAT32).to_json()}
    return Runner(contract, metadata, lambda images: predict(images, len(images)), predict_batches=predict)


def compared(part: Reference, predict: PredictInBatches, batch: int | None = None) -> Answers:
    batches = BATCHES if batch is None else (batch,)
    return compare_answers(runner_of(part, predict, batch), batches, FLOAT32.tolerance, part, nothing)


def off_by(part: Reference, offsets: dict[int, float]) -> PredictInBatches:
    """Return a function that gives the trained model's logits, off by so much at each batch size."""
    return lambda images, batch: part.logits[: len(images)] + np.float32(offsets.get(batch, 0))


@pytest.mark.parametrize("worst", BATCHES)
def test_the_logits_are_those_that_differ_most_and_those_of_each_image_alone(worst: int, part: Reference) -> None:
    offsets = dict(zip(BATCHES, (0.125, 0.25, 0.0625), strict=True)) | {worst: 0.5}
    found = compared(part, off_by(part, offsets))
    assert [(comparison.batch, comparison.images) for comparison in found.comparisons] == [(b, IMAGES) for b in BATCHES]
    assert [comparison.max_abs_diff for comparison in found.comparisons] == pytest.approx(list(offsets.values()), 1e-5)
    assert found.logits is not None
    assert np.array_equal(found.logits, part.logits + np.float32(0.5))
    assert found.alone is not None
    assert np.array_equal(found.alone, part.logits + np.float32(offsets[1]))


@pytest.mark.parametrize("bad", BATCHES)
def test_each_batch_size_has_its_own_verdict(bad: int, part: Reference) -> None:
    found = compared(part, off_by(part, {bad: 2e-4}))
    assert [(check.code, bool(check)) for check in found.checks] == [(f"batch_{b}", b != bad) for b in BATCHES]


def test_a_file_that_stops_at_a_batch_size_has_no_logits_to_be_judged_by(part: Reference) -> None:
    def stopping(images: Images, batch: int) -> Logits:
        if len(images) == IMAGES and batch == BATCHES[1]:
            raise ArtifactError("it stopped")
        return part.logits[: len(images)]

    found = compared(part, stopping)
    assert [(check.code, bool(check)) for check in found.checks] == [("batch_1", True), ("batch_sizes", False)]
    assert found.checks[-1].problems == ("it stopped",)
    assert [comparison.batch for comparison in found.comparisons] == [1]
    assert found.logits is None


@pytest.mark.parametrize(
    ("fixed", "calls"), [(None, [(ODD_BATCH, ODD_BATCH), *((IMAGES, b) for b in BATCHES)]), (1, [(IMAGES, 1)])]
)
def test_an_odd_batch_is_tried_first_where_any_is_taken(
    fixed: int | None, calls: list[tuple[int, int]], part: Reference
) -> None:
    asked: list[tuple[int, int]] = []

    def noting(images: Images, batch: int) -> Logits:
        asked.append((len(images), batch))
        return part.logits[: len(images)]

    assert all(compared(part, noting, fixed).checks)
    assert asked == calls


def others(part: Reference, change: Callable[[Logits, int], Logits], fixed: int | None = None) -> dict[str, Check]:
    """Return the checks beyond the test images, by code, of a file that changes the trained model's logits."""
    trained = eager_predictor(part.checkpoint)
    runner = runner_of(part, lambda images, batch: change(trained(images), batch), fixed)
    artifact = ArtifactFile(Path("a.npz"), FORMATS["numpy"], Bundle.of_file(b""))
    checks = check_other_inputs(artifact, runner, FLOAT32, part, None, nothing)
    return {check.code: check for check in checks}


def test_other_inputs_are_judged_as_the_file_is_deployed(part: Reference) -> None:
    asked: list[tuple[int, int]] = []

    def noting(logits: Logits, batch: int) -> Logits:
        asked.append((len(logits), batch))
        return logits

    found = others(part, noting)
    assert all(found.values())
    assert list(found) == ["selfcheck", "batch_invariance", "synthetic_inputs", "nonfinite_inputs"]
    assert {batch for images, batch in asked if images != IMAGES} == {1}
    assert not others(part, lambda logits, _: logits, 1)["batch_invariance"].available


def test_synthetic_inputs_are_held_to_their_own_logits(part: Reference) -> None:
    """Though the test images have logits so large that theirs may differ by twenty times as much."""
    large = dataclasses.replace(part, logits=part.logits * (1_000 / largest_logit(part.logits)))
    found = others(large, lambda logits, _: logits + np.float32(1e-3))
    assert not found["synthetic_inputs"]
    assert found["nonfinite_inputs"]


def test_other_inputs_that_stop_a_file_fail_it(part: Reference) -> None:
    def stopping(logits: Logits, batch: int) -> Logits:
        if batch == 1 and len(logits) not in (IMAGES, len(part.test_vectors.labels)):
            raise ArtifactError("it stopped")
        return logits

    (check,) = others(part, stopping).values()
    assert (check.code, check.problems) == ("other_inputs", ("it stopped",))
