import dataclasses
import math
from pathlib import Path

import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, make_checkpoint, save_checkpoint
from mnist_edge.training.datasets.mnist import TrainingData
from mnist_edge.training.loop import Step, accuracy, begin, train_epoch
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.recipe import PLAIN, recipe_for
from mnist_edge.training.train_state import Plan

SHORT = dataclasses.replace(PLAIN, epochs=2, momentum=0.5)
ROBUST = dataclasses.replace(recipe_for("robust", "mlp"), epochs=3)


def trained(data: TrainingData, plan: Plan) -> Checkpoint:
    training = plan.begin()
    for _ in range(plan.recipe.epochs):
        train_epoch(training, data)
    return make_checkpoint(training, plan, data)


def test_it_learns(few: TrainingData) -> None:
    training = begin(build_model("mlp"), SHORT, seed=0)
    before = accuracy(training.model, few.validation)
    first, second = train_epoch(training, few), train_epoch(training, few)
    assert before < 0.3
    assert second.accuracy > 0.7
    assert second.loss < first.loss
    assert second.accuracy == accuracy(training.result, few.validation)
    assert training.history == [first, second]


def test_it_is_the_loop_of_the_textbook(few: TrainingData) -> None:
    """The same steps, written out over single images with torch's own loader, give the same losses."""
    losses: list[float] = []
    train_epoch(begin(build_model("mlp", 5), SHORT, seed=5), few, on_step=lambda step: losses.append(step.loss))

    model = build_model("mlp", 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=SHORT.learning_rate, momentum=SHORT.momentum)
    pairs = list(zip(few.train.images, few.train.labels, strict=True))
    loader = torch.utils.data.DataLoader(pairs, 32, shuffle=True, generator=torch.Generator().manual_seed(5))  # type: ignore[arg-type, var-annotated]
    expected = []
    for images, labels in loader:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert losses == expected


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(few: TrainingData, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        torch.rand(3)  # what else was drawn does not matter
        save_checkpoint(path, trained(few, Plan("mlp", SHORT, seed, few.digest)))
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second
    assert first != third
    assert torch.equal(load_checkpoint(paths[0]).weights["fc1.weight"], load_checkpoint(paths[1]).weights["fc1.weight"])


def test_torchs_global_generator_is_left_alone(few: TrainingData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    trained(few, Plan("mlp", ROBUST, 0, few.digest))
    assert torch.equal(torch.rand(1), expected)


def test_progress_is_told(few: TrainingData) -> None:
    steps: list[Step] = []
    training = begin(build_model("mlp"), SHORT, 0)
    epochs = [train_epoch(training, few, steps.append) for _ in range(2)]
    assert [(step.epoch, step.step, step.steps) for step in steps] == [(e, s, 63) for e in (1, 2) for s in range(1, 64)]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[0].loss == pytest.approx(sum(step.loss for step in steps[:63]) / 63)


def test_a_training_that_diverges_is_one_line(few: TrainingData) -> None:
    wild = dataclasses.replace(SHORT, learning_rate=1e9)
    with pytest.raises(UserError, match="smaller --learning-rate"):
        train_epoch(begin(build_model("mlp"), wild, 0), few)


def test_the_step_size_rises_and_falls() -> None:
    recipe = dataclasses.replace(SHORT, epochs=10, learning_rate=0.4, warmup=2, schedule="cosine")
    sizes = [recipe.step_size(step, 100) for step in range(1000)]
    assert sizes[0] == pytest.approx(0.4 / 200, rel=0.01)
    assert max(sizes) == pytest.approx(0.4 * (1 + math.cos(0.2 * math.pi)) / 2, rel=0.01)
    assert sizes.index(max(sizes)) == 199
    assert sizes[500] == pytest.approx(0.2)
    assert sizes[-1] < 1e-5
    assert SHORT.step_size(10**6, 100) == SHORT.learning_rate


def test_the_average_follows_the_weights_and_is_what_comes_out(few: TrainingData) -> None:
    training = begin(build_model("cnn"), dataclasses.replace(SHORT, average=0.9), 0)
    train_epoch(training, few)
    assert training.average is not None
    assert training.result is training.average.module
    for name, tensor in training.result.state_dict().items():
        now = training.model.state_dict()[name]
        assert tensor.dtype == now.dtype
        if tensor.is_floating_point():
            assert not torch.equal(tensor, now)
            assert (tensor - now).norm() < 0.2 * now.norm() + 0.5


def test_a_recipe_and_an_architecture_that_do_not_exist() -> None:
    with pytest.raises(UserError, match="expected one of plain, robust"):
        recipe_for("fancy", "mlp")
