"""The teachers of a distillation: checkpoints of larger networks, or of the same one trained otherwise."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.names import is_own
from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.recipe import Recipe


def load_teachers(paths: Sequence[Path], recipe: Recipe, task: Task) -> list[Checkpoint]:
    """Return the checkpoints that a training learns from, for the same images and labels.

    Raises:
        UserError: the recipe learns from teachers and there are none, or does not and there are some; or one can't be
            read, is for another task, or is a network of the user's, whose code no option names.
    """
    if bool(paths) != bool(recipe.distillation_weight):
        raise UserError(
            f"the recipe {recipe.name!r} learns from teachers: name their checkpoints with --teacher"
            if recipe.distillation_weight
            else f"the recipe {recipe.name!r} learns from no teacher: leave out --teacher, or choose --recipe distilled"
        )
    teachers = [load_checkpoint(path) for path in paths]
    for path, teacher in zip(paths, teachers, strict=True):
        if is_own(teacher.architecture):
            raise UserError(f"{path} is of the network {teacher.architecture}: expected one of mlp and cnn")
        if (teacher.task.labels, teacher.task.input) != (task.labels, task.input):
            raise UserError(
                f"{path} is for {teacher.task.name}, expected a checkpoint for the images and labels of {task.name}"
            )
    return teachers


def check_parts(paths: Sequence[Path], teachers: Sequence[Checkpoint], data: TrainingData) -> None:
    """Return if no teacher has learned from the pictures that the student is measured on.

    Raises:
        UserError: one learned from the student's folder, in parts that were drawn from another seed. It is the same
            folder also where its pictures were named otherwise, or some were added since.
    """
    for path, teacher in zip(paths, teachers, strict=True):
        folders = None not in (teacher.data.split_seed, data.split_seed)  # a data set of the registry has its parts
        same = teacher.data_digest == data.digest or (folders and teacher.data.dataset == data.dataset)
        if same and teacher.data.split_seed != data.split_seed:
            raise UserError(
                f"{path} learned from pictures of {data.dataset} that are held back here, since its parts were drawn "
                f"from another seed: give both the same --seed, which is {teacher.data.split_seed} there"
            )


def build_teachers(teachers: Sequence[Checkpoint], device: str) -> list[nn.Module]:
    """Return the models of teachers on a device, in `eval()`; raises `UserError` as `Checkpoint.build`."""
    return [teacher.build().to(device).to(memory_format=torch.channels_last) for teacher in teachers]
