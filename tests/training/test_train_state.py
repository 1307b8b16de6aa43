import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.own import OwnArchitecture
from mnist_edge.training.checkpoint import make_checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.files import resume_path
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.recipe import PLAIN, recipe_for
from mnist_edge.training.safetensors_io import read_tensors, write_tensors
from mnist_edge.training.train_state import TrainingConfig, load_train_state, save_train_state


def config_for(architecture: str, data: TrainingData) -> TrainingConfig:
    recipe = dataclasses.replace(recipe_for("robust", architecture), epochs=4, warmup_epochs=1)
    return TrainingConfig(DATASETS["mnist"].task, architecture, recipe, seed=3, data_digest=data.digest)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_training_ends_with_the_same_bytes(
    architecture: str, stop: int, few: TrainingData, tmp_path: Path
) -> None:
    few = dataclasses.replace(few, train=Split(few.train.images[:500], few.train.labels[:500]))
    config = config_for(architecture, few)
    uninterrupted = config.init_train_state()
    for _ in range(4):
        train_epoch(uninterrupted, few)

    first = config.init_train_state()
    for _ in range(stop):
        train_epoch(first, few)
    save_train_state(tmp_path / "t", first, config)
    second, read = load_train_state(tmp_path / "t")
    assert read == config
    assert second.history == uninterrupted.history[:stop]
    for _ in range(4 - stop):
        train_epoch(second, few)
    assert make_checkpoint(second, config, few).to_bytes() == make_checkpoint(uninterrupted, config, few).to_bytes()


class PartlyFrozen(nn.Sequential):
    """A network of which one layer is frozen, and another is not used."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
        self[1].requires_grad_(False)
        self.unused = nn.Linear(2, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self[3](self[2](self[1](self[0](image))))
        return logits


def test_weights_without_a_gradient_have_no_momentum(few: TrainingData, tmp_path: Path) -> None:
    own = OwnArchitecture("net.py:PartlyFrozen", PartlyFrozen)
    config = dataclasses.replace(config_for("mlp", few), architecture=own.name)
    config = dataclasses.replace(config, recipe=dataclasses.replace(PLAIN, momentum=0.9, batch_size=500))
    uninterrupted = config.init_train_state(own)
    train_epoch(uninterrupted, few)
    save_train_state(tmp_path / "t", uninterrupted, config)
    resumed, _ = load_train_state(tmp_path / "t", own)
    assert train_epoch(resumed, few) == train_epoch(uninterrupted, few)


def test_a_network_whose_code_has_changed_is_not_resumed(few: TrainingData, tmp_path: Path) -> None:
    own = OwnArchitecture("net.py:Net", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    changed = OwnArchitecture("net.py:Net", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Tanh()))
    config = dataclasses.replace(config_for("mlp", few), architecture=own.name)
    save_train_state(tmp_path / "t", config.init_train_state(own), config)
    load_train_state(tmp_path / "t", own)
    with pytest.raises(UserError, match=r"net\.py:Net gives other answers than when .* put it back as it was"):
        load_train_state(tmp_path / "t", changed)


def test_it_is_kept_beside_the_checkpoint() -> None:
    assert resume_path(Path("a/b.safetensors")) == Path("a/b.safetensors.resume")


def test_a_missing_or_damaged_file_is_one_line(few: TrainingData, tmp_path: Path) -> None:
    path = tmp_path / "t"
    with pytest.raises(UserError, match="no interrupted training"):
        load_train_state(path)
    config = config_for("mlp", few)
    state = config.init_train_state()
    save_train_state(path, state, config)
    data = path.read_bytes()
    for cut in (0, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(UserError, match="not an interrupted training"):
            load_train_state(path)
    path.write_bytes(data.replace(b'"mlp', b'"cnn').replace(b"mlp\\", b"cnn\\"))
    with pytest.raises(UserError, match="is damaged"):
        load_train_state(path)


@pytest.fixture
def saved(few: TrainingData, tmp_path: Path) -> Path:
    """A training that was interrupted after its first epoch."""
    config = config_for("mlp", few)
    state = config.init_train_state()
    train_epoch(state, few)
    save_train_state(tmp_path / "saved", state, config)
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "it is of version 1, expected 4"),
        ({"history": "none"}, "history is not a list of objects"),
        ({"history": [{"epoch": 1, "loss": math.inf, "accuracy": 0.9}]}, "loss is not a finite number"),
        ({"config": []}, "config is not an object"),
        ({"config": {}}, "is missing"),
        ({"momenta": 3}, "momenta is not a list"),
        ({"momenta": [99]}, "'momentum.0' is an unknown tensor"),
        ({"trial_logits": [1]}, "trial_logits is not a list of lists"),
        ({"plan": {}}, "'plan' is an unknown field"),
    ],
)
def test_metadata_of_another_kind_is_one_line(changes: dict[str, Any], message: str, saved: Path) -> None:
    tensors, metadata, _ = read_tensors(saved, "an interrupted training")
    write_tensors(saved, tensors, json.loads(json.dumps(metadata)) | changes)
    with pytest.raises(UserError, match="is damaged") as caught:
        load_train_state(saved)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("architecture", ["mlp"]), ("architecture", "cnn"), ("seed", 0.5), ("data_digest", 7), ("recipe", "robust")],
)
def test_a_configuration_of_another_kind_is_one_line(field: str, value: object, saved: Path) -> None:
    tensors, metadata, _ = read_tensors(saved, "an interrupted training")
    metadata["config"][field] = value
    write_tensors(saved, tensors, metadata)
    with pytest.raises(UserError, match=f"is damaged or of another version of mnist-edge .*{field}"):
        load_train_state(saved)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("model.fc1.bias", torch.zeros(129)),
        ("ema.module.fc1.bias", torch.zeros(129)),
        ("momentum.0", torch.zeros(3)),
        ("momentum.99", torch.zeros(3)),
        ("shuffle_rng", torch.zeros(5, dtype=torch.uint8)),
        ("augment_rng", torch.zeros(5)),
        ("other", torch.zeros(5)),
    ],
)
def test_tensors_of_another_shape_or_name_are_one_line(name: str, tensor: torch.Tensor, saved: Path) -> None:
    tensors, metadata, _ = read_tensors(saved, "an interrupted training")
    write_tensors(saved, {**tensors, name: tensor}, metadata)
    with pytest.raises(UserError, match="is damaged") as caught:
        load_train_state(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.fc1.bias", "ema.module.fc1.bias", "momentum.0", "shuffle_rng", "augment_rng"])
def test_a_missing_tensor_is_one_line(name: str, saved: Path) -> None:
    tensors, metadata, _ = read_tensors(saved, "an interrupted training")
    write_tensors(saved, {key: tensor for key, tensor in tensors.items() if key != name}, metadata)
    with pytest.raises(UserError, match="is damaged") as caught:
        load_train_state(saved)
    assert "\n" not in str(caught.value)
