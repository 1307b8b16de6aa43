import dataclasses
from pathlib import Path

import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, make_checkpoint, save_checkpoint
from mnist_edge.training.data import TrainingData
from mnist_edge.training.loop import Epoch, Step, accuracy, train
from mnist_edge.training.model import build_model
from mnist_edge.training.recipe import RECIPES

SHORT = dataclasses.replace(RECIPES["plain"], epochs=2, momentum=0.5)


def trained(data: TrainingData, seed: int) -> Checkpoint:
    model = build_model("mlp", seed)
    return make_checkpoint(model, "mlp", SHORT, seed, train(model, data, SHORT, seed), data.digest)


def test_it_learns(few: TrainingData) -> None:
    model = build_model("mlp")
    before = accuracy(model, few.validation)
    history = train(model, few, SHORT, seed=0)
    assert before < 0.3
    assert history[-1].accuracy > 0.7
    assert history[-1].loss < history[0].loss
    assert history[-1].accuracy == accuracy(model, few.validation)


def test_it_is_the_loop_of_the_textbook(few: TrainingData) -> None:
    """The same steps, written out over single images with torch's own loader, give the same losses."""
    losses: list[float] = []
    one_epoch = dataclasses.replace(SHORT, epochs=1)
    train(build_model("mlp", 5), few, one_epoch, seed=5, on_step=lambda step: losses.append(step.loss))

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
        save_checkpoint(path, trained(few, seed))
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second
    assert first != third
    assert torch.equal(load_checkpoint(paths[0]).weights["fc1.weight"], load_checkpoint(paths[1]).weights["fc1.weight"])


def test_torchs_global_generator_is_left_alone(few: TrainingData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    trained(few, 0)
    assert torch.equal(torch.rand(1), expected)


def test_progress_is_told(few: TrainingData) -> None:
    steps: list[Step] = []
    epochs: list[Epoch] = []
    history = train(build_model("mlp"), few, SHORT, 0, steps.append, epochs.append)
    assert [(step.epoch, step.step, step.steps) for step in steps] == [(e, s, 63) for e in (1, 2) for s in range(1, 64)]
    assert epochs == history
    assert history[0].loss == pytest.approx(sum(step.loss for step in steps[:63]) / 63)


def test_a_training_that_diverges_is_one_line(few: TrainingData) -> None:
    wild = dataclasses.replace(SHORT, learning_rate=1e9)
    with pytest.raises(UserError, match="smaller --learning-rate"):
        train(build_model("mlp"), few, wild, 0)
