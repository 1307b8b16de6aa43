import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnist_edge.training.recipe import recipe_for
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
    assert metadata["architecture"] == "mlp"
    assert metadata["recipe"] == json.loads(json.dumps(dataclasses.asdict(recipe_for("robust", "mlp"))))
    assert metadata["seed"] == 0
    assert len(metadata["history"]) == recipe_for("robust", "mlp").epochs
    assert set(metadata["versions"]) == {"mnist-edge", "torch"}
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
