import dataclasses

import numpy as np
import pytest

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.formats.registry import FORMATS, FOUR_BITS
from mnist_edge.formats.scheme import FLOAT32
from mnist_edge.parity.logits import top2_margin
from mnist_edge.parity.reference import MAX_SAMPLE, Reference, eager_predictor, load_reference
from mnist_edge.training.checkpoint import Checkpoint
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
