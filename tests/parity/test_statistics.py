import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binomtest, entropy

from mnist_edge.parity.reference import Reference
from mnist_edge.parity.statistics import changed_answers, divergence, mcnemar, sqnr, statistics
from mnist_edge.types import Logits

some_logits = arrays(np.float32, (4, 10), elements=st.floats(-50, 50, width=32))


def test_identical_logits_differ_in_nothing(reference: Reference) -> None:
    found = statistics(reference.logits, reference.logits, reference.labels, 1.0)
    assert (found.max_abs_diff, found.p99_9_abs_diff, found.mean_abs_diff, found.sqnr) == (0, 0, 0, math.inf)
    assert (found.mean_divergence, found.max_divergence) == (0, 0)
    assert found.agreement.value == 1
    assert found.accuracy == found.reference_accuracy
    assert found.accuracy.value == reference.accuracy
    assert (found.mcnemar.lost, found.mcnemar.gained, found.mcnemar.p_value) == (0, 0, 1)
    assert found.changed == ()


def test_errors_by_hand() -> None:
    trained = np.tile(np.arange(10, dtype=np.float32), (100, 1))
    exported = trained.copy()
    exported[7, 3] += 0.5
    exported[8, 4] -= 0.25
    found = statistics(trained, exported, np.full(100, 9), 1.0)
    assert found.max_abs_diff == 0.5
    assert found.p99_9_abs_diff == 0.25  # 999 of 1,000 are not larger
    assert found.mean_abs_diff == pytest.approx(0.75 / 1000)
    assert found.sqnr == pytest.approx(10 * math.log10(100 * 285 / (0.25 + 0.0625)))


def test_the_noise_of_a_rounding_to_b_bits_is_six_decibels_a_bit() -> None:
    """A full-scale uniform signal rounded to b bits has 6.02 b dB (Bennett 1948)."""
    signal = np.random.default_rng(0).uniform(-1, 1, (10_000, 10)).astype(np.float32)
    for bits in (6, 8):
        step = 2 / 2**bits
        errors = np.abs(np.round(signal / step) * step - signal.astype(np.float64))
        assert sqnr(signal, errors) == pytest.approx(6.02 * bits, abs=0.1)


@given(some_logits, some_logits, st.floats(0.5, 3))
def test_the_divergence_is_that_of_scipy_and_never_negative(
    trained: Logits, exported: Logits, temperature: float
) -> None:
    def probabilities(logits: Logits) -> NDArray[np.float64]:
        scores = np.exp((logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature)
        result: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
        return result

    found = divergence(trained, exported, temperature)
    expected = entropy(probabilities(trained), probabilities(exported), axis=1)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert (found >= 0).all()


@given(some_logits, st.floats(-8, 8, width=16))
def test_a_shift_of_all_logits_changes_no_probability(trained: Logits, shift: float) -> None:
    assert divergence(trained, trained + np.float32(shift), 1.0) == pytest.approx(np.zeros(4), abs=1e-4)


def test_mcnemar_by_hand() -> None:
    before = np.array([True] * 1 + [False] * 5 + [True] * 50)
    after = np.array([False] * 1 + [True] * 5 + [True] * 50)
    found = mcnemar(before, after)
    assert (found.lost, found.gained) == (1, 5)
    assert found.p_value == pytest.approx(2 * (1 + 6) / 2**6)


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_mcnemar_is_the_binomial_test_of_scipy(lost: int, gained: int) -> None:
    before, after = np.repeat([True, False], [lost, gained]), np.repeat([False, True], [lost, gained])
    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar(before, after).p_value == pytest.approx(expected, rel=1e-9)


def test_the_interval_is_wilsons(reference: Reference) -> None:
    found = statistics(reference.logits, reference.logits, reference.labels, 1.0).accuracy
    p, n, z = found.value, found.images, 1.959963984540054
    center, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.interval == pytest.approx([(center + side * half) / (1 + z**2 / n) for side in (-1, 1)])


def test_changed_answers_come_most_confident_first_with_both_margins() -> None:
    trained = np.zeros((3, 10), np.float32)
    trained[:, 1], trained[:, 2] = (1, 5, 3), (0.5, 1, 2.5)
    exported = trained.copy()
    exported[1, 7], exported[2, 8] = 6, 3.5
    first, second = changed_answers(trained, exported, np.array([1, 1, 8]))
    assert (first.image, first.label, first.trained, first.exported) == (1, 1, 1, 7)
    assert (first.margin, first.exported_margin) == (4, 1)
    assert (second.image, second.label, second.trained, second.exported, second.margin) == (2, 8, 1, 8, 0.5)


def test_images_of_a_part_have_their_numbers_among_all() -> None:
    trained = np.tile(np.array([1, 0], np.float32), (3, 1))
    exported = trained.copy()
    exported[1] = 0, 1
    part = statistics(trained, exported, np.zeros(3, np.int64), 1.0).of_part(np.array([4, 7, 9]))
    assert [answer.image for answer in part.changed] == [7]


def test_logits_that_are_not_numbers_make_the_errors_infinite(reference: Reference) -> None:
    exported = reference.logits.copy()
    exported[5, 3] = np.nan
    found = statistics(reference.logits, exported, reference.labels, 1.0)
    assert found.max_abs_diff == found.mean_abs_diff == found.max_divergence == found.mean_divergence == math.inf
    assert found.sqnr == -math.inf
    as_json = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert as_json["max_abs_diff"] is as_json["sqnr_db"] is None
    assert as_json["agreement"]["hits"] == 9_999
