import base64
import dataclasses
import json
import zlib

import numpy as np
import pytest

from mnist_edge.parity.test_vectors import HARD, TYPICAL, choose_golden, exact_logits, golden_problems, margin
from mnist_edge.parity.comparison import Reference
from mnist_edge.artifact.test_vectors import Golden, GoldenError
from mnist_edge.training.datasets.mnist import TrainingData


def test_two_typical_ones_of_each_class_and_the_hardest(reference: Reference, training_data: TrainingData) -> None:
    golden = reference.golden
    assert len(golden.labels) == len(set(golden.indices)) == 10 * TYPICAL + HARD
    assert golden.labels[: 10 * TYPICAL] == tuple(digit for digit in range(10) for _ in range(TYPICAL))
    held_back = training_data.validation
    for index, label, image in zip(golden.indices, golden.labels, golden.images, strict=True):
        assert np.array_equal(image / np.float32(255), held_back.images[index - 55_000].numpy())
        assert label == int(held_back.labels[index - 55_000])
    labels = np.array(golden.labels)
    margins = np.abs(margin(golden.logits, labels))
    assert margins[-HARD:].max() < margins[:-HARD].min()
    everyone = np.abs(margin(exact_logits(reference.checkpoint.build(), held_back.images), held_back.labels.numpy()))
    assert margins[-HARD:].max() == pytest.approx(np.sort(everyone)[HARD - 1], abs=1e-5)


def test_the_logits_are_the_trained_models(reference: Reference) -> None:
    golden = reference.golden
    exact = exact_logits(reference.checkpoint.build(), reference.held_back.images[[i - 55_000 for i in golden.indices]])
    assert np.abs(golden.logits - exact).max() <= 1e-6
    assert np.array_equal(golden.expected, golden.logits)


def test_choosing_again_chooses_the_same_and_leaves_the_model_alone(reference: Reference) -> None:
    model = reference.checkpoint.build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    again = choose_golden(reference.held_back, exact_logits(model, reference.held_back.images), first=55_000)
    assert again.to_json() == reference.golden.to_json()
    assert all(before[name].equal(tensor) for name, tensor in model.state_dict().items())


def test_text_and_back(reference: Reference) -> None:
    golden = dataclasses.replace(reference.golden, expected=reference.golden.logits + np.float32(0.25), bound=0.5)
    text = golden.to_json()
    assert len(text) < 10_000
    again = Golden.from_json(text)
    for field in dataclasses.fields(Golden):
        assert np.array_equal(getattr(again, field.name), getattr(golden, field.name)), field.name
    assert again.to_json() == text


@pytest.mark.parametrize("name", ["indices", "labels", "images", "logits", "bound", "version"])
def test_what_is_damaged_is_refused(name: str, reference: Reference) -> None:
    fields = json.loads(reference.golden.to_json())
    bad: tuple[object, ...] = (None, "!", [], -1, fields["images"][:100], "eJw=")
    for value in bad:
        with pytest.raises(GoldenError, match="golden vectors"):
            Golden.from_json(json.dumps({**fields, name: value}))
    del fields[name]
    with pytest.raises(GoldenError, match="damaged"):
        Golden.from_json(json.dumps(fields))


def test_none_and_a_bomb_are_refused(reference: Reference) -> None:
    with pytest.raises(GoldenError, match="carries no golden vectors"):
        Golden.from_json(None)
    fields = json.loads(reference.golden.to_json())
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    with pytest.raises(GoldenError, match="damaged"):
        Golden.from_json(json.dumps({**fields, "images": bomb}))


def test_stale_or_foreign_golden_vectors_are_told(reference: Reference) -> None:
    golden = reference.golden
    assert golden_problems(golden, golden, "none") == []
    stale = dataclasses.replace(golden, logits=golden.logits * np.float32(1.001))
    assert "stale" in golden_problems(stale, golden, "none")[0]
    foreign = dataclasses.replace(golden, labels=(*golden.labels[1:], 3))
    assert "other images" in golden_problems(foreign, golden, "none")[0]
    assert "allow 9, expected 0.0001" in golden_problems(dataclasses.replace(golden, bound=9.0), golden, "none")[0]
