"""One body over eager, TorchScript and ONNX and their int8 versions, each with its tolerance."""

import numpy as np
import pytest

from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.comparison import Reference, eager_predictor, in_batches
from mnist_edge.formats.onnx.runner import Predict

#        format, precision, batches, largest |Δlogit|, least agreement, largest loss of accuracy
CASES = [
    ("eager", "fp32", (1, 7, 1000), 1e-4, 1.0, 0.0),
    ("torchscript", "fp32", (1, 7, 1000), 1e-4, 1.0, 0.0),
    ("onnx", "fp32", (1, 7, 1000), 1e-4, 1.0, 0.0),
    ("torchscript", "int8", (1,), 1.0, 0.998, 0.0010),
    ("onnx", "int8", (1,), 1.0, 0.998, 0.0010),
]


@pytest.mark.parametrize(("format", "precision", "batches", "max_error", "min_agreement", "max_drop"), CASES)
def test_gives_the_trained_models_answers(
    format: str,
    precision: str,
    batches: tuple[int, ...],
    max_error: float,
    min_agreement: float,
    max_drop: float,
    reference: Reference,
    exported: list[Artefact],
) -> None:
    predict = _open(format, precision, reference, exported)
    for batch in batches:
        logits = in_batches(predict, reference.images, batch)
        answers = logits.argmax(axis=1)
        assert np.abs(logits - reference.logits).max() <= max_error
        assert (answers == reference.logits.argmax(axis=1)).mean() >= min_agreement
        assert reference.accuracy - (answers == reference.labels).mean() <= max_drop + 1e-12


def test_every_format_and_precision_is_covered() -> None:
    covered = {(format, precision) for format, precision, *_ in CASES if format != "eager"}
    assert covered == {(format.name, precision) for format in FORMATS.values() for precision in format.precisions}


def test_an_int8_answer_depends_on_the_rest_of_its_batch(reference: Reference, exported: list[Artefact]) -> None:
    """Why int8 is judged, and run, one image at a time."""
    predict = _open("onnx", "int8", reference, exported)
    alone = in_batches(predict, reference.images[:500], 1)
    together = in_batches(predict, reference.images[:500], 500)
    assert np.abs(alone - together).max() > 0.01


def _open(format: str, precision: str, reference: Reference, exported: list[Artefact]) -> Predict:
    if format == "eager":
        return eager_predictor(reference.checkpoint)
    (artefact,) = [a for a in exported if (a.format, a.contract.precision) == (format, precision)]
    return FORMATS[format].load(artefact.path).predict
