import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import FLOAT32
from mnist_edge.parity import test_vectors as parity_vectors  # by the module: pytest takes its functions for tests
from mnist_edge.parity.logits import label_margin
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.test_vectors import HARDEST, TYPICAL_PER_CLASS, choose_test_vectors, exact_logits
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.types import Images, Logits

problems = parity_vectors.test_vector_problems

FIRST = 55_000
"""Index of the first validation image among the training images."""


def test_two_typical_ones_of_each_class_and_the_hardest(reference: Reference, training_data: TrainingData) -> None:
    vectors = reference.test_vectors
    assert len(vectors.labels) == len(set(vectors.indices)) == 10 * TYPICAL_PER_CLASS + HARDEST
    typical = tuple(digit for digit in range(10) for _ in range(TYPICAL_PER_CLASS))
    assert vectors.labels[: 10 * TYPICAL_PER_CLASS] == typical
    validation = training_data.validation
    for index, label, image in zip(vectors.indices, vectors.labels, vectors.images, strict=True):
        assert np.array_equal(image / np.float32(255), validation.images[index - FIRST].numpy())
        assert label == int(validation.labels[index - FIRST])
    margins = np.abs(label_margin(vectors.trained_logits, np.array(vectors.labels)))
    assert margins[-HARDEST:].max() < margins[:-HARDEST].min()
    exact = exact_logits(reference.checkpoint.build(), validation.images)
    everyone = np.abs(label_margin(exact, validation.labels.numpy()))
    assert margins[-HARDEST:].max() == pytest.approx(np.sort(everyone)[HARDEST - 1], abs=1e-5)


def test_the_logits_are_the_trained_models(reference: Reference) -> None:
    vectors = reference.test_vectors
    chosen = [index - FIRST for index in vectors.indices]
    exact = exact_logits(reference.checkpoint.build(), reference.validation.images[chosen])
    assert exact.dtype == np.float64
    assert np.abs(vectors.trained_logits - exact).max() <= 1e-6
    assert np.array_equal(vectors.expected_logits, vectors.trained_logits)


def test_choosing_again_chooses_the_same_and_leaves_the_model_alone(reference: Reference) -> None:
    model = reference.checkpoint.build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    exact = exact_logits(model, reference.validation.images)
    again = choose_test_vectors(reference.validation, exact, first=FIRST)
    assert again.to_json() == reference.test_vectors.to_json()
    assert all(before[name].equal(tensor) for name, tensor in model.state_dict().items())


def test_a_class_without_images_has_no_typical_one() -> None:
    labels = torch.tensor([0, 0, 0, 2, 2, 2])
    images = Split(torch.zeros(6, 1, 4, 4), labels)
    logits = np.eye(3)[labels.numpy()] * np.arange(1, 7)[:, np.newaxis]
    vectors = choose_test_vectors(images, logits, first=10)
    assert vectors.labels[:4] == (0, 0, 2, 2)
    assert vectors.indices[0] == 11  # margins 1, 2 and 3: the median
    assert len(vectors.labels) == 6


def test_stale_or_foreign_test_vectors_are_reported(reference: Reference) -> None:
    vectors = reference.test_vectors
    assert problems(vectors, vectors, FLOAT32) == ()
    stale = dataclasses.replace(vectors, trained_logits=vectors.trained_logits * np.float32(1.001))
    assert "stale" in problems(stale, vectors, FLOAT32)[0]
    for foreign in (
        dataclasses.replace(vectors, labels=(*vectors.labels[1:], 3)),
        dataclasses.replace(vectors, indices=(*vectors.indices[1:], 3)),
    ):
        assert "other images" in problems(foreign, vectors, FLOAT32)[0]
    wide = dataclasses.replace(vectors, bound=9.0)
    assert "allow 9, expected 0.0001" in problems(wide, vectors, FLOAT32)[0]


def test_other_pixels_are_other_images(reference: Reference) -> None:
    vectors = reference.test_vectors
    other = dataclasses.replace(vectors, images=vectors.images ^ np.uint8(1))
    assert "other images" in problems(other, vectors, FLOAT32)[0]


@pytest.mark.parametrize(("off", "stale"), [(5e-6, False), (2e-5, True), (-2e-5, True), (np.nan, True)])
def test_one_logit_shows_that_test_vectors_are_stale(off: float, stale: bool, reference: Reference) -> None:
    vectors = reference.test_vectors
    logits = vectors.trained_logits.copy()
    logits[3, 4] += np.float32(off)
    found = problems(dataclasses.replace(vectors, trained_logits=logits), vectors, FLOAT32)
    assert ["stale" in problem for problem in found] == [True] * stale


def test_a_bound_that_is_too_narrow_is_another_one_too(reference: Reference) -> None:
    narrow = dataclasses.replace(reference.test_vectors, bound=0)
    assert "allow 0, expected 0.0001" in problems(narrow, reference.test_vectors, FLOAT32)[0]


def answering(reference: Reference, logits: Logits, expected: Logits | None = None) -> Runner:
    """Return a file that gives these logits, with the reference's test vectors, which may expect others."""
    vectors = reference.test_vectors if expected is None else reference.test_vectors.with_expected(expected)
    contract = reference.contract(FORMATS["numpy"], FLOAT32, {})
    metadata = {TEST_VECTORS_KEY: vectors.to_json()}
    return Runner(contract, metadata, lambda _: logits, predict_batches=lambda _, __: logits)


def test_a_file_gives_what_its_own_test_vectors_expect_or_fails(reference: Reference) -> None:
    def refuses(_: Images, __: int) -> Logits:
        raise ArtifactError("it stopped")

    path, expected = Path("a.npz"), reference.test_vectors.expected_logits
    check = parity_vectors.check_selfcheck(path, answering(reference, expected))
    assert check
    assert check.found == "|Δlogit| ≤ 0, 25 of 25 answers"
    off = parity_vectors.check_selfcheck(path, answering(reference, expected + np.float32(0.01)))
    assert off.problems == (
        "it gives logits up to 0.01 off those that its own test vectors expect, at most 0.0001 is allowed: they or the "
        "file were altered, or this machine computes otherwise than the one that exported it; run "
        "`mnist-edge selfcheck` on that one, and where it fails there too, export again",
    )
    swapped = parity_vectors.check_selfcheck(path, answering(reference, expected[:, ::-1].copy()))
    assert swapped.problems[1] == "it answers 25 of its own 25 test vectors otherwise than they expect"
    broken = dataclasses.replace(answering(reference, expected), predict_batches=refuses)
    assert "it stopped" in parity_vectors.check_selfcheck(path, broken).problems[0]


@pytest.mark.parametrize(("off", "passes"), [(9e-5, True), (1.1e-4, False), (-1.1e-4, False), (np.nan, False)])
def test_one_logit_beyond_the_bound_fails_the_self_check(off: float, passes: bool, reference: Reference) -> None:
    logits = reference.test_vectors.expected_logits.copy()
    logits[3, logits[3].argmax()] += np.float32(off)
    check = parity_vectors.check_selfcheck(Path("a.npz"), answering(reference, logits))
    assert ["at most 0.0001 is allowed" in problem for problem in check.problems] == [True] * (not passes)


def test_one_changed_answer_fails_the_self_check_within_the_bound(reference: Reference) -> None:
    expected = reference.test_vectors.expected_logits.copy()
    expected[3, :2] = expected[3].max() + np.array([2, 2.00005], np.float32)
    found = expected.copy()
    found[3, :2] = expected[3, 1::-1]
    check = parity_vectors.check_selfcheck(Path("a.npz"), answering(reference, found, expected))
    assert check.problems == ("it answers 1 of its own 25 test vectors otherwise than they expect",)
