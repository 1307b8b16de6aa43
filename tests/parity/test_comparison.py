import json

import numpy as np
import pytest

from mnist_edge.parity.comparison import compare
from mnist_edge.parity.reference import Reference


def test_compare_counts(reference: Reference) -> None:
    logits = reference.logits.copy()
    logits[:25] = np.roll(logits[:25], 1, axis=1)
    logits[30] += 0.5
    result = compare(logits, reference.logits, reference.labels, 7)
    changed = np.abs(logits - reference.logits)
    assert result.batch == 7
    assert result.images == 10_000
    assert result.max_abs_diff == pytest.approx(changed.max())
    assert result.mean_abs_diff == pytest.approx(changed.mean(), rel=1e-5)
    assert result.agreement == 1 - 25 / 10_000
    assert result.accuracy == np.mean(logits.argmax(axis=1) == reference.labels)


def test_a_difference_that_is_infinite_is_null_in_json(reference: Reference) -> None:
    logits = reference.logits.copy()
    logits[3, 3] = np.nan
    result = compare(logits, reference.logits, reference.labels, 1)
    assert result.max_abs_diff == result.mean_abs_diff == float("inf")
    written = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert written["max_abs_diff"] is written["mean_abs_diff"] is None
    assert written["agreement"] == 0.9999
