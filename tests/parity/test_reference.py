import dataclasses

import numpy as np
import pytest
import torch

import mnist_edge
from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS, FOUR_BITS
from mnist_edge.formats.scheme import FLOAT32
from mnist_edge.parity.logits import top2_margin
from mnist_edge.parity.reference import MAX_SAMPLE, Reference, eager_predictor, load_reference, make_reference
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA, RELEASED


def test_the_sample_holds_the_images_that_are_nearest_to_another_answer(reference: Reference) -> None:
    sample = reference.sample()
    margins = top2_margin(reference.logits)
    half = MAX_SAMPLE // 2
    assert (np.sort(top2_margin(sample.logits))[:half] == np.sort(margins)[:half]).all()
    assert set(range(10)) == set(sample.labels.tolist())
    assert len(sample.images) <= MAX_SAMPLE
    few = reference.part(np.arange(20)).sample()
    assert len(few.images) == 20


def test_it_is_shown_without_numbers_by_the_thousand(reference: Reference) -> None:
    for shown in (reference, reference.checkpoint, reference.test_vectors):
        text = repr(shown)
        assert text.startswith(f"{type(shown).__name__}(")
        assert len(text) < 5_000
        assert "array" not in text
        assert "tensor(" not in text
    assert len(repr(mnist_edge.Recognizer().artifact)) < 5_000


def test_a_part_keeps_images_labels_and_logits_together(reference: Reference) -> None:
    part = reference.part(np.array([7, 3]))
    for mine, whole in (
        (part.images, reference.images),
        (part.labels, reference.labels),
        (part.logits, reference.logits),
    ):
        assert np.array_equal(mine, whole[[7, 3]])
    assert part.test_vectors is reference.test_vectors


def test_it_is_read_with_the_data_set_of_the_checkpoint(reference: Reference, released: Checkpoint) -> None:
    loaded = load_reference(RELEASED, DATA)
    assert loaded.checkpoint.digest == released.digest
    for name in ("images", "labels", "logits"):
        assert np.array_equal(getattr(loaded, name), getattr(reference, name))
    assert loaded.test_vectors.to_json() == reference.test_vectors.to_json()
    assert mnist_edge.load_reference is load_reference
    with pytest.raises(UserError, match="no checkpoint at"):
        load_reference(RELEASED.with_name("missing.safetensors"), DATA)


def test_the_contract_is_that_of_the_checkpoint_the_format_and_the_scheme(reference: Reference) -> None:
    contract = reference.contract(FORMATS["onnx"], FLOAT32, {"opset": 17})
    checkpoint = reference.checkpoint
    assert (contract.task, contract.architecture) == (checkpoint.task, checkpoint.architecture)
    assert (contract.checkpoint, contract.temperature) == (checkpoint.digest, checkpoint.temperature)
    assert (contract.precision, contract.scheme, contract.batch) == ("fp32", "none", None)
    assert (contract.options, contract.producer) == ({"opset": 17}, {})
    assert (contract.energy_threshold, contract.margin_threshold) == dataclasses.astuple(checkpoint.thresholds)
    assert contract.energy_threshold != contract.margin_threshold
    assert contract.license == checkpoint.license == "Apache-2.0"
    assert reference.contract(FORMATS["litert"], FLOAT32, {}).batch == 1


def test_labels_belong_to_what_the_test_set_is_known_by(reference: Reference) -> None:
    few = reference.part(np.arange(20))
    assert dataclasses.replace(few, images=few.images.copy()).test_set == few.test_set
    for other in ({"labels": few.labels[::-1].copy()}, {"images": few.images[::-1].copy()}):
        assert dataclasses.replace(few, **other).test_set != few.test_set


def test_programs_of_other_schemes_and_options_are_not_taken_for_one_another(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FormatSpec, "program", lambda _, bundle: bundle.files)
    made, onnx = dataclasses.replace(reference, programs={}), FORMATS["onnx"]
    asked = [(onnx.schemes[0], 17), (onnx.schemes[0], 18), (onnx.schemes[-1], 22)]
    for scheme, opset in asked:
        request = made.request(onnx, scheme, {"opset": opset})
        made.remember_program(onnx, request, Bundle.of_file(f"{scheme.name} {opset}".encode()))
    for scheme, opset in asked:
        assert made.program(onnx, scheme, {"opset": opset}) == {"": f"{scheme.name} {opset}".encode()}


def test_no_scheme_sees_a_test_image_before_it_is_judged(reference: Reference) -> None:
    request = reference.request(FORMATS["onnx"], FLOAT32, {"opset": 18})
    assert np.array_equal(request.calibration, reference.validation.images.numpy())


def test_images_that_the_checkpoint_was_not_trained_on_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Split(torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.int64))
    other = TrainingData(one, one, digest="0" * 64)
    monkeypatch.setattr("mnist_edge.parity.reference.load_training_data", lambda *_: other)
    with pytest.raises(UserError, match=r"the images of mnist in .* are not those that .* was trained on: train it"):
        load_reference(RELEASED, DATA)


@pytest.mark.parametrize("where", ["a test image", "a validation image", "one logit"])
def test_a_trained_model_whose_answers_are_not_all_finite_is_refused(
    where: str, released: Checkpoint, test_data: Split
) -> None:
    whole = Split(test_data.images[:20], test_data.labels[:20])
    images = whole.images.clone()
    images[7, 0, 0, 0] = torch.nan
    damaged, checkpoint, bad = Split(images, whole.labels), released, 1
    if where == "one logit":
        bias = released.weights["fc3.bias"].clone()
        bias[3] = torch.inf
        checkpoint, bad = dataclasses.replace(released, weights={**released.weights, "fc3.bias": bias}), 20
    test = damaged if where == "a test image" else whole
    validation = damaged if where == "a validation image" else whole
    with pytest.raises(UserError, match=rf"\(mlp\) gives logits that are not finite numbers for {bad} of 20 images"):
        make_reference(checkpoint, test, TrainingData(whole, validation, digest="0" * 64))


@pytest.mark.slow
def test_a_scheme_gets_the_options_that_it_needs(reference: Reference) -> None:
    onnx, asked = FORMATS["onnx"], {"opset": 18}
    needed = {"opset": 21}
    assert reference.contract(onnx, FOUR_BITS, asked).options == needed
    assert reference.request(onnx, FOUR_BITS, asked).contract.options == needed
    made = dataclasses.replace(reference, programs={})
    assert made.program(onnx, FOUR_BITS, asked) is made.program(onnx, FOUR_BITS, needed)


def test_test_vectors_get_the_bound_of_the_scheme(reference: Reference) -> None:
    for scheme in FORMATS["onnx"].schemes:
        vectors = reference.test_vectors_for(scheme)
        assert vectors.bound == scheme.device_bound
        assert vectors.images is reference.test_vectors.images


def test_eager_answers_are_those_of_the_model(reference: Reference) -> None:
    predict = eager_predictor(reference.checkpoint)
    assert np.array_equal(predict(reference.images[:1_000]), reference.logits[:1_000])
