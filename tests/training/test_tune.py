import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.own import load_architecture
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.recipe import PLAIN, recipe_for
from mnist_edge.training.tune import (
    SEARCHED,
    Search,
    best_recipe,
    check_importance,
    ended,
    importance,
    open_study,
    tune,
)

TASK = DATASETS["mnist"].task
SEARCH = Search(TASK, "mlp", PLAIN, epochs=1, seed=0, data_digest="0" * 64)


def storage_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


@pytest.mark.slow
def test_the_best_trial_becomes_a_recipe(few: TrainingData, tmp_path: Path) -> None:
    study = open_study(storage_in(tmp_path), "s", SEARCH)
    tune(study, SEARCH, few, trials=2)
    best = best_recipe(study, PLAIN)
    assert {name: getattr(best, name) for name in SEARCHED} == study.best_params
    assert dataclasses.replace(best, **{name: getattr(PLAIN, name) for name in SEARCHED}) == PLAIN
    with pytest.raises(UserError, match=r"2 finished trials do not show what mattered, .* --trials 2 or more"):
        importance(study)
    with pytest.raises(UserError, match="2 finished trials and 1 more do not show"):
        check_importance(study, trials=1)
    check_importance(study, trials=2)


def test_an_interrupted_trial_is_not_counted(few: TrainingData, tmp_path: Path) -> None:
    study = open_study(storage_in(tmp_path), "s", SEARCH)
    epochs = []

    def interrupt_the_second(trial: optuna.Trial, epoch: int) -> None:
        epochs.append((trial.number, epoch))
        if trial.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(study, SEARCH, few, trials=3, on_epoch=interrupt_the_second)
    assert epochs == [(0, 1), (1, 1)]
    assert [trial.number for trial in ended(study)] == [0]
    assert len(study.trials) == 2


@pytest.mark.slow
def test_the_strength_of_the_augmentation_is_searched_too(few: TrainingData, tmp_path: Path) -> None:
    recipe = recipe_for("robust", "mlp")
    search = dataclasses.replace(SEARCH, recipe=recipe)
    study = open_study(storage_in(tmp_path), "s", search)
    tune(study, search, few, trials=1)
    assert best_recipe(study, recipe).augmentation == recipe.augmentation.times(study.best_params["strength"])


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            dataclasses.replace(SEARCH, task=dataclasses.replace(TASK, name="other")),
            "task mnist, not other; other input",
        ),
        (
            dataclasses.replace(SEARCH, task=dataclasses.replace(TASK, labels=TASK.labels[::-1])),
            "other input and labels",
        ),
        (dataclasses.replace(SEARCH, architecture="cnn"), "architecture mlp, not cnn"),
        (dataclasses.replace(SEARCH, recipe=recipe_for("robust", "mlp")), "recipe plain, not robust"),
        (dataclasses.replace(SEARCH, epochs=2), "epochs 1, not 2"),
        (dataclasses.replace(SEARCH, seed=1), "seed 0, not 1"),
        (dataclasses.replace(SEARCH, data_digest="1" * 64), "other data"),
    ],
    ids=["task", "labels", "architecture", "recipe", "epochs", "seed", "data"],
)
def test_a_study_of_another_search_is_refused(other: Search, difference: str, tmp_path: Path) -> None:
    open_study(storage_in(tmp_path), "s", SEARCH)
    open_study(storage_in(tmp_path), "s", SEARCH)
    with pytest.raises(UserError, match=rf"another search \({difference}.*\): give this one another --study"):
        open_study(storage_in(tmp_path), "s", other)


@pytest.mark.parametrize(("recorded", "difference"), [("0" * 64, "other layers"), (None, "unknown layers")])
def test_a_study_of_other_layers_under_the_same_name_is_refused(
    recorded: str | None, difference: str, tmp_path: Path
) -> None:
    study = open_study(storage_in(tmp_path), "s", SEARCH)
    study.set_user_attr("search", study.user_attrs["search"] | {"layers": recorded})
    with pytest.raises(UserError, match=rf"is of another search \({difference}\): give this one another --study"):
        open_study(storage_in(tmp_path), "s", SEARCH)


def test_a_study_of_a_network_whose_code_was_changed_is_refused(tmp_path: Path) -> None:
    def search_of(hidden: int) -> Search:
        (tmp_path / "net.py").write_text(
            "from torch import nn\n"
            f"def Net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, {hidden}), nn.Linear({hidden}, 10))\n"
        )
        own = load_architecture(f"{tmp_path / 'net.py'}:Net")
        return dataclasses.replace(SEARCH, architecture="net.py:Net", own=own)

    open_study(storage_in(tmp_path), "s", search_of(8))
    open_study(storage_in(tmp_path), "s", search_of(8))
    with pytest.raises(UserError, match=r"\(other layers\)"):
        open_study(storage_in(tmp_path), "s", search_of(9))


def test_a_study_that_nobody_has_claimed_is_refused_once_it_has_trials(tmp_path: Path) -> None:
    study = optuna.create_study(storage=storage_in(tmp_path), study_name="s", direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=0.5))
    with pytest.raises(UserError, match=r"^the study 's' was begun by an earlier .* --study$"):
        open_study(storage_in(tmp_path), "s", SEARCH)


def test_a_study_is_claimed_at_once_while_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, claimed = [], []

    @contextmanager
    def lock(folder: Path) -> Iterator[None]:
        waiting.append(folder)
        yield
        waiting.clear()

    monkeypatch.setattr("mnist_edge.training.tune.locked", lock)
    monkeypatch.setattr(optuna.Study, "set_user_attr", lambda *_: claimed.append(list(waiting)))
    open_study(storage_in(tmp_path), "s", SEARCH)
    assert claimed == [[tmp_path]]


def test_what_mattered_is_a_share_of_the_variance(tmp_path: Path) -> None:
    study = open_study(storage_in(tmp_path), "s", SEARCH)
    uniform: optuna.distributions.BaseDistribution = optuna.distributions.FloatDistribution(0, 1)
    settings = dict.fromkeys(("momentum", "weight_decay"), uniform)

    def add(value: Callable[[float, float], float]) -> None:
        for momentum in range(4):
            for decay in range(4):
                params = {"momentum": momentum / 3, "weight_decay": decay / 3}
                accuracy = value(*params.values())
                study.add_trial(optuna.trial.create_trial(value=accuracy, params=params, distributions=settings))

    add(lambda _, __: 0.5)
    with pytest.raises(UserError, match=r"all 16 finished trials are 50\.00% accurate, .*: run more --trials"):
        importance(study)
    study = open_study(storage_in(tmp_path), "t", SEARCH)
    add(lambda momentum, decay: 0.3 * momentum + 0.15 * decay)
    shares = importance(study)
    assert shares == importance(study)
    assert shares == pytest.approx({"momentum": 0.8, "weight_decay": 0.2}, abs=0.08)


@pytest.mark.parametrize(
    ("images", "sizes"), [(60, (8,)), (100, (8, 10)), (1000, (12, 25, 50, 100)), (2000, (25, 50, 100, 200))]
)
def test_few_images_are_tried_in_small_batches(
    images: int, sizes: tuple[int, ...], few: TrainingData, tmp_path: Path
) -> None:
    part = Split(few.train.images[:images], few.train.labels[:images])
    study = open_study(storage_in(tmp_path), "s", SEARCH)
    tune(study, SEARCH, dataclasses.replace(few, train=part), trials=1)
    (trial,) = study.trials
    tried = trial.distributions["batch_size"]
    assert isinstance(tried, optuna.distributions.CategoricalDistribution)
    assert tried.choices == sizes
