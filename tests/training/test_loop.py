import dataclasses
from pathlib import Path

import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, make_checkpoint, save_checkpoint
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.loop import StepResult, accuracy, predict_logits, train_epoch
from mnist_edge.training.outliers import draw_outliers
from mnist_edge.training.recipe import PLAIN, recipe_for
from mnist_edge.training.train_state import TrainingConfig, init_train_state

TASK = DATASETS["mnist"].task

SHORT = dataclasses.replace(PLAIN, epochs=2, momentum=0.5)
OUTLIERS = dataclasses.replace(SHORT, outlier_share=0.25)
ROBUST = dataclasses.replace(recipe_for("robust", "mlp"), epochs=3)


def trained(data: TrainingData, config: TrainingConfig) -> Checkpoint:
    state = config.init_train_state()
    for _ in range(config.recipe.epochs):
        train_epoch(state, data)
    return make_checkpoint(state, config, data)


def test_it_learns(few: TrainingData) -> None:
    state = init_train_state(build_model("mlp", TASK), SHORT, seed=0)
    before = accuracy(state.model, few.validation)
    first, second = train_epoch(state, few), train_epoch(state, few)
    assert before < 0.3
    assert second.accuracy > 0.7
    assert second.loss < first.loss
    assert second.accuracy == accuracy(state.eval_model, few.validation)
    assert state.history == [first, second]


def test_it_is_the_loop_of_the_textbook(few: TrainingData) -> None:
    """The same steps, written out over single images with torch's own loader, give the same losses."""
    losses: list[float] = []
    state = init_train_state(build_model("mlp", TASK, 5), SHORT, seed=5)
    train_epoch(state, few, on_step=lambda step: losses.append(step.loss))

    model = build_model("mlp", TASK, 5)
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
        save_checkpoint(path, trained(few, TrainingConfig(TASK, "mlp", SHORT, seed, few.digest)))
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second
    assert first != third
    assert torch.equal(load_checkpoint(paths[0]).weights["fc1.weight"], load_checkpoint(paths[1]).weights["fc1.weight"])


def test_torchs_global_generator_is_left_alone(few: TrainingData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    trained(few, TrainingConfig(TASK, "mlp", ROBUST, 0, few.digest))
    assert torch.equal(torch.rand(1), expected)


def test_progress_is_reported(few: TrainingData) -> None:
    steps: list[StepResult] = []
    state = init_train_state(build_model("mlp", TASK), SHORT, 0)
    epochs = [train_epoch(state, few, steps.append) for _ in range(2)]
    assert [(step.epoch, step.step, step.steps) for step in steps] == [(e, s, 63) for e in (1, 2) for s in range(1, 64)]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[0].loss == pytest.approx(sum(step.loss for step in steps[:63]) / 63)


def test_a_training_that_diverges_is_one_line(few: TrainingData) -> None:
    wild = dataclasses.replace(SHORT, learning_rate=1e9)
    with pytest.raises(UserError, match="smaller --learning-rate"):
        train_epoch(init_train_state(build_model("mlp", TASK), wild, 0), few)


def test_a_training_with_outliers_is_sure_of_fewer_of_them(few: TrainingData) -> None:
    outliers = draw_outliers(few.validation.images, few.validation.labels, 500, torch.Generator().manual_seed(5))
    confidences = []
    for weight in (0.0, 0.5):
        state = init_train_state(build_model("mlp", TASK), dataclasses.replace(OUTLIERS, outlier_weight=weight), seed=0)
        for _ in range(2):
            assert train_epoch(state, few).accuracy > 0.6
        confidences.append(predict_logits(state.model, outliers).softmax(dim=1).amax(dim=1).mean().item())
    assert confidences[1] < confidences[0] - 0.15


@pytest.mark.slow
def test_the_average_follows_the_weights_and_is_what_comes_out(few: TrainingData) -> None:
    state = init_train_state(build_model("cnn", TASK), dataclasses.replace(SHORT, ema_decay=0.9), 0)
    train_epoch(state, few)
    assert state.ema is not None
    assert state.eval_model is state.ema.module
    for name, tensor in state.eval_model.state_dict().items():
        now = state.model.state_dict()[name]
        assert tensor.dtype == now.dtype
        if tensor.is_floating_point():
            assert not torch.equal(tensor, now)
            assert (tensor - now).norm() < 0.2 * now.norm() + 0.5


def test_a_batch_of_one_image_has_no_outliers(few: TrainingData) -> None:
    data = dataclasses.replace(few, train=Split(few.train.images[:2], few.train.labels[:2]))
    losses = []
    for share in (0.0, 1.0):
        recipe = dataclasses.replace(SHORT, batch_size=1, outlier_share=share, outlier_weight=1.0)
        losses.append(train_epoch(init_train_state(build_model("mlp", TASK), recipe, seed=0), data).loss)
    assert losses[0] == losses[1]
