import json
import re
from typing import Any

import numpy as np
import pytest

from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.recorded_answers import RecordedAnswers, record_answers
from mnist_edge.parity.reference import Reference

GOOD: dict[str, Any] = {"version": 1, "test_set": "0" * 64, "images": 20, "misread": "3 7 19"}


def test_a_report_records_the_images_that_its_file_answers_wrongly(
    reports: dict[str, ParityReport], reference: Reference
) -> None:
    for report in reports.values():
        assert report.answers is not None
        assert report.statistics is not None
        assert report.answers.test_set == reference.test_set
        assert report.answers.images - len(report.answers.misread) == report.statistics.accuracy.hits
        assert int(report.answers.right.sum()) == report.statistics.accuracy.hits
    fp32 = reports["mnist-mlp.onnx"].answers
    assert fp32 == record_answers(reference.logits, reference.labels, reference.test_set)


def test_they_survive_json(reports: dict[str, ParityReport]) -> None:
    for report in reports.values():
        assert report.answers is not None
        written = json.loads(json.dumps(report.summary()["answers"]))
        assert RecordedAnswers.from_fields(written) == report.answers
    assert RecordedAnswers.from_fields(GOOD).right.nonzero()[0].tolist() == [
        i for i in range(20) if i not in (3, 7, 19)
    ]
    assert RecordedAnswers.from_fields(GOOD | {"misread": ""}).right.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "it is of version 2, expected 1"),
        ({"images": 0}, "images is not a whole number from 1"),
        ({"images": 19}, "not ascending numbers below 19"),
        ({"misread": "7 3"}, "not ascending"),
        ({"misread": "3 3"}, "not ascending"),
        ({"misread": "3, 7"}, "not a text of whole numbers"),
        ({"misread": "-1"}, "not a text of whole numbers"),
        ({"misread": "٣"}, "not a text of whole numbers"),
        ({"misread": [3]}, "misread is not a text"),
        ({"test_set": "abc"}, "test_set is not a SHA-256"),
        ({"more": 1}, "'more' is an unknown field"),
    ],
)
def test_what_somebody_else_wrote_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RecordedAnswers.from_fields(GOOD | change)


def test_other_images_or_labels_are_another_test_set(reference: Reference) -> None:
    few = reference.part(np.arange(50))
    assert few.test_set == reference.part(np.arange(50)).test_set
    assert few.test_set != reference.part(np.arange(1, 51)).test_set
