import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.runtime.prediction import Prediction, Status, digits_of, score
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.ood import energy_scores, margin_scores
from tests.conftest import ROOT


def test_the_score_of_large_logits() -> None:
    best, probabilities, energy, margin = score([999.0, 1000.0, -1000.0], temperature=1.0)
    assert best == 1
    assert probabilities == pytest.approx([0.269, 0.731, 0], abs=1e-3)
    assert energy == pytest.approx(1000.313, abs=1e-3)
    assert margin == 1


def test_of_two_logits_that_are_the_greatest_the_first_is_the_answer() -> None:
    """As `numpy.argmax` has it, by which artifacts are judged."""
    best, probabilities, _, margin = score([0.0, 1.0, 1.0], temperature=1.0)
    assert (best, margin) == (1, 0)
    assert probabilities[1] == probabilities[2]


@given(st.lists(st.floats(-50, 50, width=32), min_size=10, max_size=10), st.floats(0.1, 10))
def test_the_score_is_the_softmax_with_the_energy_and_margin_that_are_calibrated(
    logits: list[float], temperature: float
) -> None:
    best, probabilities, energy, margin = score(logits, temperature)
    scaled = np.array(logits) / temperature
    assert logits[best] == max(logits)
    assert probabilities == pytest.approx(np.exp(scaled - scaled.max()) / np.exp(scaled - scaled.max()).sum(), abs=1e-9)
    row = np.array([logits], dtype=np.float32)
    assert [energy, margin] == pytest.approx([energy_scores(row, temperature)[0], margin_scores(row, temperature)[0]])


def test_the_most_probable_labels_come_first() -> None:
    answer = Recognizer().predict(ROOT / "examples" / "five.png")
    top = answer.top(3)
    assert top[0] == ("5", answer.confidence)
    assert [share for _, share in top] == sorted(answer.probabilities, reverse=True)[:3]
    assert len(answer.top(99)) == 10


def test_fewer_labels_than_none_are_refused() -> None:
    with pytest.raises(ValueError, match="count is -1"):
        Recognizer().predict(ROOT / "examples" / "five.png").top(-1)


def test_without_an_answer_there_is_no_ranking() -> None:
    answer = Prediction("x.png", Status.UNREADABLE, None, None, None, (), ("0", "1"), "model.onnx", "damaged")
    assert answer.top(3) == []
    assert answer.to_json() == {
        "path": "x.png",
        "status": "unreadable",
        "label": None,
        "digit": None,
        "confidence": None,
        "probabilities": [],
        "model": "model.onnx",
    }


@pytest.mark.parametrize(
    ("labels", "digits"),
    [
        (("0", "1", "12"), (0, 1, 12)),
        (("0", "one"), (None, None)),
        (("0", "-1"), (None, None)),
        (("0", "²"), (None, None)),
        (("0", ""), (None, None)),
        (("0", "٣"), (None, None)),
    ],
)
def test_labels_are_digits_where_all_of_them_are(labels: tuple[str, ...], digits: tuple[int | None, ...]) -> None:
    assert digits_of(labels) == digits
