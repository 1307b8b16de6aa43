import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, make_checkpoint, save_checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.recipe import PLAIN, recipe_for
from mnist_edge.training.train_state import TrainingConfig
from tests.conftest import RELEASED


def test_a_checkpoint_comes_back_as_it_was(released: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", released)
    back = load_checkpoint(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == RELEASED.read_bytes()
    assert dataclasses.replace(back, weights={}) == dataclasses.replace(released, weights={})
    assert all(torch.equal(back.weights[name], released.weights[name]) for name in released.weights)


def test_the_digest_is_that_of_the_file(released: Checkpoint) -> None:
    written = hashlib.sha256(RELEASED.read_bytes()).hexdigest()
    assert released.digest == written
    assert dataclasses.replace(released, file_digest=None).digest == written


def test_the_metadata_says_how_it_was_made(released: Checkpoint) -> None:
    with safetensors.safe_open(RELEASED, "pt") as file:
        metadata = json.loads(file.metadata()["mnist_edge"])
    assert metadata["version"] == 5
    assert metadata["architecture"] == "mlp"
    assert Task.from_fields(metadata["task"]) == DATASETS["mnist"].task == released.task
    assert metadata["recipe"] == json.loads(json.dumps(dataclasses.asdict(recipe_for("robust", "mlp"))))
    assert metadata["seed"] == 0
    assert len(metadata["history"]) == recipe_for("robust", "mlp").epochs
    assert set(metadata["producer"]) == {"mnist-edge", "torch"}
    assert sum(tensor.numel() for tensor in released.weights.values()) == 109_386


@pytest.mark.parametrize("cut", [0, 4, 100, 5000])
def test_a_truncated_file_is_one_line(cut: int, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(RELEASED.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"not a checkpoint of mnist-edge.*mnist-edge train") as caught:
        load_checkpoint(tmp_path / "c")
    assert "\n" not in str(caught.value)


def test_other_peoples_safetensors_are_refused(tmp_path: Path, released: Checkpoint) -> None:
    safetensors.torch.save_file(released.weights, tmp_path / "c")
    with pytest.raises(UserError, match="not a checkpoint of mnist-edge"):
        load_checkpoint(tmp_path / "c")


def test_weights_of_another_shape_are_refused(released: Checkpoint) -> None:
    weights = {**released.weights, "fc3.bias": torch.zeros(11)}
    with pytest.raises(UserError, match="do not fit its architecture"):
        dataclasses.replace(released, weights=weights).build()
    with pytest.raises(UserError, match="unknown architecture 'rnn'"):
        dataclasses.replace(released, architecture="rnn").build()


def test_a_missing_checkpoint_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mnist-edge train"):
        load_checkpoint(tmp_path / "missing")


def with_metadata(path: Path, text: str, checkpoint: Checkpoint) -> Path:
    """Write a safetensors file of these weights with any metadata."""
    path.write_bytes(safetensors.torch.save(checkpoint.weights, metadata={"mnist_edge": text}))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "it is of version 1, expected 5"),
        ({"version": "2\n2"}, "it is of version '2\\n2', expected 5"),
        ({"architecture": ["mlp"]}, "architecture is not a text"),
        ({"architecture": {"mlp": 1}}, "architecture is not a text"),
        ({"history": "none"}, "history is not a list of objects"),
        ({"history": [[1, 0.1, 0.9]]}, "history is not a list of objects"),
        ({"history": [{"epoch": 1, "loss": math.nan, "accuracy": 0.9}]}, "loss is not a finite number"),
        ({"history": [{"epoch": 1, "loss": 0.1, "accuracy": 1.9}]}, "accuracy is not a finite number"),
        ({"history": [{"epoch": 2, "loss": 0.1, "accuracy": 0.9}]}, "epoch is not a whole number"),
        ({"history": [{"epoch": 1, "loss": 0.1}]}, "'accuracy' is missing"),
        ({"temperature": math.inf}, "temperature is not a finite number"),
        ({"temperature": 0}, "temperature is not a finite number"),
        ({"seed": -1}, "seed is not a whole number"),
        ({"seed": None}, "seed is not a whole number"),
        ({"data_digest": "0"}, "data_digest is not a SHA-256"),
        ({"data": {}}, "is missing"),
        ({"producer": ["torch"]}, "producer is not an object"),
        ({"producer": {"torch": 2}}, "producer is not a text"),
        ({"recipe": "robust"}, "recipe is not an object"),
        ({"task": {}}, "is missing"),
        ({"task": "mnist"}, "task is not an object"),
        ({"a\nb": 1}, "is an unknown field"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_metadata_of_another_kind_is_one_line(
    changes: dict[str, Any], message: str, released: Checkpoint, tmp_path: Path
) -> None:
    with safetensors.safe_open(RELEASED, "pt") as file:
        metadata = json.loads(file.metadata()["mnist_edge"])
    path = with_metadata(tmp_path / "c", json.dumps(metadata | changes), released)
    with pytest.raises(UserError, match="not a checkpoint of mnist-edge") as caught:
        load_checkpoint(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    missing = with_metadata(path, json.dumps({k: v for k, v in metadata.items() if k not in changes}), released)
    if set(changes) <= set(metadata):
        with pytest.raises(UserError, match="is missing"):
            load_checkpoint(missing)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 100_000, '{"version":' * 100_000], ids=lambda t: t[:12])
def test_metadata_that_is_no_object_is_one_line(text: str, released: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a checkpoint of mnist-edge") as caught:
        load_checkpoint(with_metadata(tmp_path / "c", text, released))
    assert "\n" not in str(caught.value)


def test_a_size_that_a_file_claims_costs_nothing(released: Checkpoint) -> None:
    """A first layer for these images would take 8 GB."""
    task = dataclasses.replace(released.task, input=dataclasses.replace(released.task.input, shape=(1, 4096, 4096)))
    with pytest.raises(UserError, match="do not fit its architecture"):
        dataclasses.replace(released, task=task).build()


def test_a_checkpoint_has_the_license_of_its_training(few: TrainingData) -> None:
    config = TrainingConfig(DATASETS["mnist"].task, "mlp", PLAIN, 0, few.digest, license="MIT")
    assert make_checkpoint(config.init_train_state(), config, few).license == "MIT"
