import dataclasses
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import make_checkpoint
from mnist_edge.training.datasets.mnist import TrainingData
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.recipe import recipe_for
from mnist_edge.training.train_state import Plan, load_training, resume_path, save_training


def plan_for(architecture: str, data: TrainingData) -> Plan:
    recipe = dataclasses.replace(recipe_for("robust", architecture), epochs=4, warmup=1)
    return Plan(architecture, recipe, seed=3, data_digest=data.digest)


@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_training_ends_with_the_same_bytes(
    architecture: str, stop: int, few: TrainingData, tmp_path: Path
) -> None:
    plan = plan_for(architecture, few)
    whole = plan.begin()
    for _ in range(4):
        train_epoch(whole, few)

    first = plan.begin()
    for _ in range(stop):
        train_epoch(first, few)
    save_training(tmp_path / "t", first, plan)
    second, read = load_training(tmp_path / "t")
    assert read == plan
    assert second.history == whole.history[:stop]
    for _ in range(4 - stop):
        train_epoch(second, few)
    assert make_checkpoint(second, plan, few).to_bytes() == make_checkpoint(whole, plan, few).to_bytes()


def test_it_is_kept_beside_the_checkpoint() -> None:
    assert resume_path(Path("a/b.safetensors")) == Path("a/b.safetensors.resume")


def test_a_missing_or_damaged_file_is_one_line(few: TrainingData, tmp_path: Path) -> None:
    path = tmp_path / "t"
    with pytest.raises(UserError, match="no interrupted training"):
        load_training(path)
    plan = plan_for("mlp", few)
    training = plan.begin()
    save_training(path, training, plan)
    data = path.read_bytes()
    for cut in (0, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(UserError, match="not an interrupted training"):
            load_training(path)
    path.write_bytes(data.replace(b'"mlp', b'"cnn').replace(b"mlp\\", b"cnn\\"))
    with pytest.raises(UserError, match="is damaged"):
        load_training(path)
