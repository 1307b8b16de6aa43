"""A search for hyperparameters with Optuna, which stops trials that look bad after a few epochs."""

import dataclasses
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.contract import Task
from mnist_edge.errors import UserError
from mnist_edge.locks import locked
from mnist_edge.training.architectures.own import OwnArchitecture
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.augment import Augmentation
from mnist_edge.training.datasets.splits import TrainingData
from mnist_edge.training.loop import train_epoch
from mnist_edge.training.recipe import MIN_BATCH, Recipe
from mnist_edge.training.train_state import Epoch, TrainState, init_train_state

STARTUP_TRIALS = 4
"""Trials that run to their end before any is compared with their median."""

MAX_BATCH = 256
"""The greatest size of batches that is tried."""

_SQLITE, _JOURNAL = "sqlite:///", "journal:///"

_CLAIM = "search"
"""The attribute of a study that holds what it searches."""

_DIGESTS = ("data", "input and labels", "layers")
"""What of that is a SHA-256, which says nothing to people."""

SEARCHED = ("learning_rate", "momentum", "batch_size", "weight_decay")
"""The settings that are searched; with augmentation also its overall strength."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        task: what the models are trained for.
        architecture: a key of `mnist_edge.training.architectures.registry.ARCHITECTURES`, or names the user's own code.
        recipe: what the settings that are not searched are taken from.
        epochs: of each trial.
        seed: of each trial's weights, order and augmentation; every process draws for itself what it tries.
        data_digest: SHA-256 of the data that they are trained and measured on.
        own: the code of an architecture of the user's own.
    """

    task: Task
    architecture: str
    recipe: Recipe
    epochs: int
    seed: int
    data_digest: str
    own: OwnArchitecture | None = None


def open_study(storage: str, name: str, search: Search) -> optuna.Study:
    """Return the study of that name, which is created if it does not exist.

    Several processes, or machines, may work on one study: `storage` is anything that Optuna takes, as
    `sqlite:///tune.db` or a server's `postgresql://…`, or `journal:///tune.log`, a file of Optuna's journal, which
    several machines may share over NFS.

    Raises:
        UserError: the storage can't be opened, or the study belongs to another search, whose trials can't be compared.
    """
    optuna.logging.set_verbosity(logging.ERROR)  # its warnings of a trial that fails hold a traceback
    try:
        with _made_by_one(storage):
            study = optuna.create_study(
                storage=_journal(storage.removeprefix(_JOURNAL)) if storage.startswith(_JOURNAL) else storage,
                study_name=name,
                load_if_exists=True,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1),
            )
            _claim(study, search)
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, ImportError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"cannot open the storage {storage} ({reason}): expected an URL like sqlite:///tune.db or journal:///tune.log"
        ) from error
    return study


@contextmanager
def _made_by_one(storage: str) -> Iterator[None]:
    """Make the folder of a storage that is a file, and let one process at a time make tables and study in it.

    Two that begin together on a new SQLite file would both make its tables, and one of them end in an error; or both
    claim the study for searches of their own.
    """
    path = next((storage.removeprefix(kind) for kind in (_SQLITE, _JOURNAL) if storage.startswith(kind)), None)
    if path is None:
        yield
        return
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        yield


def _journal(path: str) -> JournalStorage:
    """Return the storage in a file of Optuna's journal; a file beside it locks it while it is written."""
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


def _claim(study: optuna.Study, search: Search) -> None:
    """Record in a new study what it searches; refuse one whose trials can't be compared with this search's."""
    wanted: dict[str, str | int] = {
        "task": search.task.name,
        "architecture": search.architecture,
        "recipe": search.recipe.name,
        "epochs": search.epochs,
        "seed": search.seed,
        "data": search.data_digest,
        "input and labels": sha256(json.dumps(search.task.to_fields(), sort_keys=True).encode()),
        "layers": _layers(search),
    }
    if not study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(_CLAIM, wanted)  # at once: another process sees all of it or nothing
        return
    if _CLAIM not in study.user_attrs:
        raise UserError(
            f"the study {study.study_name!r} was begun by an earlier version or another program, which did not record "
            "what it searches: give this one another --study"
        )
    found = study.user_attrs[_CLAIM]
    different = [
        _difference(name, found.get(name), value) for name, value in wanted.items() if found.get(name) != value
    ]
    if different:
        raise UserError(
            f"the study {study.study_name!r} is of another search ({'; '.join(different)}): "
            "give this one another --study"
        )


def _layers(search: Search) -> str:
    """Return a SHA-256 of the names, shapes and types of the weights: another version's network may have the name."""
    weights = build_model(search.architecture, search.task, search.seed, search.own).state_dict()
    described = {name: [str(value.dtype), *value.shape] for name, value in weights.items()}
    return sha256(json.dumps(described).encode())


def _difference(name: str, found: object, wanted: str | int) -> str:
    if name in _DIGESTS:
        return f"{'unknown' if found is None else 'other'} {name}"
    return f"{name} {'unknown' if found is None else found}, not {wanted}"


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that ran to their end or were stopped early, without those that failed or were interrupted."""
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def tune(
    study: optuna.Study,
    search: Search,
    data: TrainingData,
    trials: int,
    on_trial: Callable[[optuna.trial.FrozenTrial], None] = lambda _: None,
    on_epoch: Callable[[optuna.Trial, int], None] = lambda *_: None,
) -> None:
    """Add trials to the study, until this call has run `trials` of them.

    `on_trial` is called after each, `on_epoch` after each epoch of one with the epochs that it has behind it.
    """
    study.optimize(
        lambda trial: _accuracy(trial, search, data, on_epoch),
        n_trials=trials,
        callbacks=[lambda _, trial: on_trial(trial)],
        catch=(UserError,),
    )


def best_recipe(study: optuna.Study, recipe: Recipe) -> Recipe:
    """Return the recipe with the settings of the study's best trial.

    Raises:
        UserError: no trial has finished.
    """
    if not _finished(study):
        raise UserError(f"the study {study.study_name!r} has no finished trial yet: run more --trials")
    return _with(recipe, study.best_params)


def check_importance(study: optuna.Study, trials: int = 0) -> None:
    """Return if a study can have enough finished trials for `importance` after it has run `trials` more.

    Raises:
        UserError: it can't. Some trials may be stopped early even so, and not count.
    """
    finished = _finished(study)
    if finished + trials < STARTUP_TRIALS:
        more = f" and {trials} more" if trials else ""
        raise UserError(
            f"{finished} finished trials{more} do not show what mattered, expected at least {STARTUP_TRIALS}: "
            f"run --trials {STARTUP_TRIALS - finished} or more"
        )


def importance(study: optuna.Study) -> dict[str, float]:
    """Return how much of the accuracy's variance each setting explains, by fANOVA (Hutter et al. 2014), in [0, 1].

    Raises:
        UserError: fewer than four trials have finished, or all of them are equally accurate.
    """
    check_importance(study)
    finished = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in finished}) == 1:
        raise UserError(
            f"all {len(finished)} finished trials are {study.best_value:.2%} accurate, which does not show what "
            "mattered: run more --trials, or more --epochs in another --study"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)  # Optuna's default measures something else
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def _accuracy(
    trial: optuna.Trial, search: Search, data: TrainingData, on_epoch: Callable[[optuna.Trial, int], None]
) -> float:
    """Train one trial; its value is the best accuracy on the validation images."""
    settings: dict[str, float | int] = {
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.5, log=True),
        "momentum": trial.suggest_float("momentum", 0.0, 0.95),
        "batch_size": trial.suggest_categorical("batch_size", _batch_sizes(search.recipe, len(data.train))),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-3, log=True),
    }
    if search.recipe.augmentation != Augmentation():
        settings["strength"] = trial.suggest_float("strength", 0.3, 1.5)
    scale = search.epochs / search.recipe.epochs  # a short trial warms up for the same share of its time
    recipe = _with(search.recipe, settings)
    recipe = dataclasses.replace(recipe, epochs=search.epochs, warmup_epochs=recipe.warmup_epochs * scale)
    model = build_model(search.architecture, search.task, search.seed, search.own)
    state = init_train_state(model, recipe, search.seed)
    best = 0.0
    for epoch in range(search.epochs):
        best = max(best, _trained(state, search, data).accuracy)
        on_epoch(trial, epoch + 1)
        trial.report(best, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return best


def _trained(state: TrainState, search: Search, data: TrainingData) -> Epoch:
    """Return the result of an epoch; raises `UserError` where a network of the user's raises something."""
    if search.own is None:
        return train_epoch(state, data)
    return search.own.run_with_gradients("in training", lambda: train_epoch(state, data))


def _batch_sizes(recipe: Recipe, images: int) -> list[int]:
    """Return the sizes of batches to try: halves from 256 on, or from the greatest that so few images suit."""
    greatest = dataclasses.replace(recipe, batch_size=MAX_BATCH).for_images(images).batch_size
    return sorted({max(MIN_BATCH, greatest // share) for share in (8, 4, 2, 1)})


def _with(recipe: Recipe, settings: dict[str, float | int]) -> Recipe:
    """Return the recipe with a trial's settings; `strength` multiplies every change of the augmentation."""
    changes = {name: settings[name] for name in SEARCHED}
    augmentation = recipe.augmentation.times(settings.get("strength", 1.0))
    return dataclasses.replace(recipe, **changes, augmentation=augmentation)  # type: ignore[arg-type]
