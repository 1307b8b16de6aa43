"""What a student learns from its teachers, in numbers."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import nn

from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.distillation import distillation_loss, soft_targets
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.recipe import RECIPES, recipe_for
from mnist_edge.training.train_state import init_train_state

TASK = DATASETS["mnist"].task


def test_the_loss_is_the_divergence_at_a_temperature() -> None:
    logits, teacher = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.5, 0.3, 0.2]])
    student = torch.tensor([1.0, 0.0, -0.5]).softmax(0)
    expected = 4 * sum(p * (p / q).log() for p, q in zip(teacher[0], student, strict=True))
    assert distillation_loss(logits, teacher, 2.0).item() == pytest.approx(float(expected), rel=1e-5)


def test_a_student_that_answers_as_its_teachers_learns_nothing() -> None:
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = distillation_loss(logits, F.softmax(logits.detach() / 3, dim=1), 3.0)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_at_a_high_temperature_the_gradient_is_that_of_the_logits_themselves() -> None:
    """Section 2.1 of the paper: it approaches (z - v) / N for logits of mean zero."""
    generator = torch.Generator().manual_seed(1)
    logits, teacher = (torch.randn(1, 10, generator=generator) for _ in range(2))
    logits, teacher = logits - logits.mean(), teacher - teacher.mean()
    logits.requires_grad_()
    distillation_loss(logits, F.softmax(teacher / 1000, dim=1), 1000.0).backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, (logits.detach() - teacher) / 10, atol=2e-3)


def test_targets_are_the_mean_of_the_teachers_and_have_no_gradient(released: Checkpoint) -> None:
    teachers = [released.build(), build_model("cnn", TASK).eval()]
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    found = soft_targets(teachers, images, 2.0)
    each = [(model(images) / 2).softmax(1) for model in teachers]
    assert torch.allclose(found, (each[0] + each[1]) / 2)
    assert not found.requires_grad
    assert torch.allclose(found.sum(1), torch.ones(3))


@pytest.mark.slow
def test_without_weight_teachers_change_nothing(released: Checkpoint, few: TrainingData) -> None:
    recipe = dataclasses.replace(recipe_for("diverse", "mlp"), epochs=2, batch_size=500)
    results = []
    for teachers in ([], [released.build()]):
        state = init_train_state(build_model("mlp", TASK), recipe, seed=0)
        train_epoch(state, few, teachers=teachers)
        results.append(state.model.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_a_student_of_a_good_teacher_learns_without_true_labels(released: Checkpoint, few: TrainingData) -> None:
    recipe = dataclasses.replace(RECIPES["plain"]["mlp"], distillation_weight=1.0)
    wrong = dataclasses.replace(few.train, labels=(few.train.labels + 1) % 10)
    state = init_train_state(build_model("mlp", TASK), recipe, seed=0)
    teacher: nn.Module = released.build()
    for _ in range(2):
        train_epoch(state, dataclasses.replace(few, train=wrong), teachers=[teacher])
    assert state.history[-1].accuracy > 0.7
    assert not teacher.training


def test_distilled_is_diverse_with_teachers() -> None:
    for architecture in ("mlp", "cnn"):
        diverse, distilled = recipe_for("diverse", architecture), recipe_for("distilled", architecture)
        without = dataclasses.replace(distilled, name="diverse", epochs=diverse.epochs, distillation_weight=0.0)
        assert without == diverse
        assert (distilled.distillation_weight, distilled.distillation_temperature) == (0.7, 2.0)
