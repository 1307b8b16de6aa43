"""Which checkpoints a training may learn from."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, save_checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.recipe import recipe_for
from mnist_edge.training.teachers import build_teachers, check_parts, load_teachers
from tests.conftest import RELEASED, RELEASES

TASK = DATASETS["mnist"].task
RECIPE = recipe_for("distilled", "mlp")


def test_teachers_are_models_that_answer() -> None:
    teachers = load_teachers(list(RELEASES.values()), RECIPE, TASK)
    assert [teacher.architecture for teacher in teachers] == ["mlp", "cnn"]
    for model, checkpoint in zip(build_teachers(teachers, "cpu"), teachers, strict=True):
        images = torch.rand(2, 1, 28, 28)
        assert isinstance(model, nn.Module)
        assert not model.training
        assert torch.allclose(model(images), checkpoint.build()(images), atol=1e-5)


def test_teachers_of_something_else_are_refused(released: Checkpoint, tmp_path: Path) -> None:
    clothes = DATASETS["fashion-mnist"].task
    with pytest.raises(UserError, match=r"is for mnist, expected a checkpoint for the images and labels of fashion"):
        load_teachers([RELEASED], RECIPE, clothes)
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, dataclasses.replace(released, architecture="net.py:Net", file_digest=None))
    with pytest.raises(UserError, match=r"is of the network net\.py:Net: expected one of mlp and cnn"):
        load_teachers([own], RECIPE, TASK)


def test_a_teacher_that_learned_from_what_is_held_back_is_refused(released: Checkpoint, few: TrainingData) -> None:
    data = dataclasses.replace(few, dataset="photos", split_seed=1)
    record = dataclasses.replace(released.data, dataset="photos", split_seed=0)
    teacher = dataclasses.replace(released, data=record, data_digest=data.digest)
    path = Path("teacher.safetensors")
    with pytest.raises(UserError, match=r"teacher\.safetensors learned from pictures of photos .* --seed, which is 0"):
        check_parts([path], [teacher], data)
    check_parts([path], [teacher], dataclasses.replace(data, split_seed=0))
    grown = dataclasses.replace(data, digest="1" * 64)  # a picture was added, and most are in the parts they were in
    with pytest.raises(UserError, match=r"teacher\.safetensors learned from pictures of photos .* --seed, which is 0"):
        check_parts([path], [teacher], grown)
    check_parts([path], [teacher], dataclasses.replace(grown, split_seed=0))
    check_parts([path], [teacher], dataclasses.replace(grown, dataset="others"))
    check_parts([path], [released], dataclasses.replace(few, digest=released.data_digest))
