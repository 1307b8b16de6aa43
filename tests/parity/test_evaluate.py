from pathlib import Path

import numpy as np
import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.parity.evaluate import check_finite, evaluate, evaluate_corrupted, open_checkpoint, open_model
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.datasets.splits import Split
from tests.conftest import RELEASED


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_with_a_value_that_is_not_finite_is_refused_by_its_index(value: float) -> None:
    images = np.zeros((5, 1, 28, 28), np.float32)
    check_finite(images)
    images[3, 0, 27, 27] = value
    with pytest.raises(UserError, match="image 3 holds NaN or infinity"):
        check_finite(images)


@pytest.mark.slow
def test_a_checkpoint_and_its_artifacts_are_opened_alike(
    exported: list[Artifact], reference: Reference, test_data: Split
) -> None:
    part = Split(test_data.images[:500], test_data.labels[:500])
    for path in (RELEASED, *(artifact.path for artifact in exported)):
        model = open_model(path)
        assert (model.path, model.task) == (path, reference.checkpoint.task)
        assert model.temperature == reference.checkpoint.temperature
        measured = evaluate(model, part)
        assert measured.images == 500
        assert measured.accuracy >= 0.99


def test_a_checkpoint_in_memory_answers_as_the_reference(reference: Reference) -> None:
    model = open_checkpoint(RELEASED, reference.checkpoint)
    assert np.array_equal(model.predict_logits(reference.images[:2_000]), reference.logits[:2_000])


@pytest.mark.slow
def test_corrupted_images_are_harder(reference: Reference, test_data: Split) -> None:
    part = Split(test_data.images[:200], test_data.labels[:200])
    model = open_checkpoint(RELEASED, reference.checkpoint)
    clean = evaluate(model, part).accuracy
    other = open_model(BUILTIN_MODELS["cnn"])
    steps: list[str] = []
    measured, others = evaluate_corrupted([model, other], part, steps.append)
    assert steps[:2] == [f"{each.path.name}: answers with gaussian_blur of severity 1" for each in (model, other)]
    assert list(measured) == list(others) == list(CORRUPTIONS)
    for accuracies in measured.values():
        assert len(accuracies) == len(SEVERITIES)
        assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert np.mean(list(measured.values())) < clean
    assert others != measured
    assert evaluate_corrupted([model], part) == [measured]


def test_what_is_neither_is_one_line(tmp_path: Path) -> None:
    for suffix in (".onnx", ".pt", ".pt2"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"not a model")
        with pytest.raises(UserError, match=r"cannot (load|use) .*; expected an? ") as caught:
            open_model(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot tell the format"):
        open_model(tmp_path / "a.txt")


def test_images_that_an_artifact_does_not_take_are_one_line(exports: Path) -> None:
    model = open_model(exports / "mnist-mlp.onnx")
    with pytest.raises(UserError, match=r"cannot run .*onnxruntime cannot run a batch of 1"):
        model.predict_logits(np.zeros((3, 1, 14, 14), np.float32))
