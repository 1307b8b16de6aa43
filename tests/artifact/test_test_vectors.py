import base64
import contextlib
import dataclasses
import json
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.test_vectors import MAX_BOUND, TestVectors
from mnist_edge.errors import TestVectorsError
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from mnist_edge.runtime.recognizer import Recognizer

BUILT_IN = Recognizer(DEFAULT_MODEL).runner
TASK, VECTORS = BUILT_IN.contract.task, BUILT_IN.test_vectors


def test_text_and_back(reference: Reference) -> None:
    vectors = dataclasses.replace(
        reference.test_vectors, expected_logits=reference.test_vectors.trained_logits + np.float32(0.25), bound=0.5
    )
    text = vectors.to_json()
    assert len(text) < 10_000
    again = TestVectors.from_json(text, reference.checkpoint.task)
    for field in dataclasses.fields(TestVectors):
        assert np.array_equal(getattr(again, field.name), getattr(vectors, field.name)), field.name
    assert again.to_json() == text


def test_logits_that_are_the_trained_models_are_stored_once(reference: Reference) -> None:
    vectors = reference.test_vectors
    assert json.loads(vectors.to_json())["expected_logits"] is None
    again = TestVectors.from_json(vectors.to_json(), reference.checkpoint.task)
    assert np.array_equal(again.expected_logits, vectors.trained_logits)
    other = vectors.with_expected(np.nextafter(vectors.trained_logits, np.float32(np.inf)))
    again = TestVectors.from_json(other.to_json(), reference.checkpoint.task)
    assert np.array_equal(again.expected_logits, other.expected_logits)


def test_the_inputs_are_the_pixels_divided_by_255() -> None:
    assert VECTORS.inputs.dtype == np.float32
    assert VECTORS.inputs.shape == VECTORS.images.shape
    assert np.array_equal(np.round(VECTORS.inputs * 255).astype(np.uint8), VECTORS.images)
    assert (VECTORS.inputs.min(), VECTORS.inputs.max()) == (0, 1)


@pytest.mark.parametrize("name", ["indices", "labels", "images", "trained_logits", "bound", "version"])
def test_what_is_damaged_is_refused(name: str) -> None:
    fields = json.loads(VECTORS.to_json())
    bad: tuple[object, ...] = (None, "!", [], -1, fields["images"][:100], "eJw=")
    for value in bad:
        with pytest.raises(TestVectorsError, match="test vectors"):
            TestVectors.from_json(json.dumps({**fields, name: value}), TASK)
    del fields[name]
    with pytest.raises(TestVectorsError, match="not understood here"):
        TestVectors.from_json(json.dumps(fields), TASK)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", [10] * 25),
        ("labels", [1.0] * 25),
        ("labels", [True] * 25),
        ("labels", [0] * 24),
        ("indices", [0] * 24),
        ("indices", [2**60] * 25),
        ("bound", -1),
        ("bound", 2 * MAX_BOUND),
        ("bound", float("nan")),
        ("bound", True),
        ("expected_logits", 7),
        ("expected_logits", "eJw="),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    fields = json.loads(VECTORS.to_json())
    with pytest.raises(TestVectorsError, match="not understood here"):
        TestVectors.from_json(json.dumps({**fields, name: value}), TASK)


@pytest.mark.parametrize("name", ["trained_logits", "expected_logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(name: str, value: float) -> None:
    logits = VECTORS.trained_logits.copy()
    logits[3, 4] = value
    trained = logits if name == "trained_logits" else VECTORS.trained_logits
    bad = dataclasses.replace(VECTORS, trained_logits=trained, expected_logits=logits)
    with pytest.raises(TestVectorsError, match="not finite"):
        TestVectors.from_json(bad.to_json(), TASK)


def test_those_of_another_task_are_refused() -> None:
    for other in (
        dataclasses.replace(TASK, labels=TASK.labels[:9]),
        dataclasses.replace(TASK, input=dataclasses.replace(TASK.input, shape=(1, 32, 32))),
    ):
        with pytest.raises(TestVectorsError, match="not understood here"):
            TestVectors.from_json(VECTORS.to_json(), other)


def test_as_many_as_none_are_refused() -> None:
    none = dataclasses.replace(
        VECTORS,
        indices=(),
        labels=(),
        images=VECTORS.images[:0],
        trained_logits=VECTORS.trained_logits[:0],
        expected_logits=VECTORS.expected_logits[:0],
    )
    with pytest.raises(TestVectorsError, match="there are none"):
        TestVectors.from_json(none.to_json(), TASK)


def test_none_and_a_bomb_are_refused() -> None:
    with pytest.raises(TestVectorsError, match="carries no test vectors"):
        TestVectors.from_json(None, TASK)
    fields = json.loads(VECTORS.to_json())
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    with pytest.raises(TestVectorsError, match="not understood here"):
        TestVectors.from_json(json.dumps({**fields, "images": bomb}), TASK)
    with pytest.raises(TestVectorsError, match="not understood here"):
        TestVectors.from_json("[" * 100_000, TASK)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    text = json.dumps({**json.loads(VECTORS.to_json()), "images": bomb})
    tracemalloc.start()
    with pytest.raises(TestVectorsError, match="not understood here"):
        TestVectors.from_json(text, TASK)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_arrays_of_either_byte_order_are_stored_alike() -> None:
    logits = VECTORS.trained_logits + np.float32(1)
    stored = {VECTORS.with_expected(logits.astype(order)).to_json() for order in ("<f4", ">f4")}
    (text,) = stored
    assert np.array_equal(TestVectors.from_json(text, TASK).expected_logits, logits)


@given(st.sampled_from(list(json.loads(VECTORS.to_json()))), st.text() | st.integers() | st.floats() | st.none())
def test_no_value_raises_anything_else(name: str, value: object) -> None:
    fields = {**json.loads(VECTORS.to_json()), name: value}
    with contextlib.suppress(TestVectorsError):
        vectors = TestVectors.from_json(json.dumps(fields), TASK)
        assert 0 <= vectors.bound <= MAX_BOUND
        assert vectors.images.shape == (25, 1, 28, 28)
