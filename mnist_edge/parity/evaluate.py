"""Measuring a model, trained or exported, on labeled images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path

import numpy as np

from mnist_edge.artifact.contract import Contract, Task
from mnist_edge.artifact.names import file_stem, is_own
from mnist_edge.errors import ArtifactError, UnknownFormatError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import Runner, predict_in_batches
from mnist_edge.parity.foreign import open_foreign
from mnist_edge.parity.reference import EAGER_BATCH, eager_predictor
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.training.architectures.own import OwnArchitecture
from mnist_edge.training.checkpoint import CHECKPOINT_SUFFIX, Checkpoint, load_checkpoint
from mnist_edge.training.datasets import of_checkpoint, registry
from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET
from mnist_edge.training.datasets.splits import Split
from mnist_edge.training.metrics import Evaluation, evaluate_logits
from mnist_edge.types import Images, Logits, Predict

Robustness = dict[str, list[float]]
"""Accuracy in [0, 1] at severity 1 to 5, for each corruption."""


@dataclass(frozen=True)
class OpenModel:
    """A checkpoint or an exported artifact, open in its own runtime.

    Attributes:
        path: of it.
        predict: any number of images → logits, as it is deployed.
        temperature: by which its logits are to be divided before the softmax.
        task: what it tells apart.
        caveats: what is not known of it, in a line; empty for a model of ours.
        checkpoint: the checkpoint, where it is one.
        contract: what it carries, where it was exported.
    """

    path: Path
    predict: Predict
    temperature: float
    task: Task
    caveats: str = ""
    checkpoint: Checkpoint | None = None
    contract: Contract | None = None

    def predict_logits(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`, of images, float32 `[N, channels, height, width]`.

        Raises:
            UserError: the artifact can't be run, an image holds NaN or infinity, or a logit is not a finite number.
        """
        check_finite(images)
        try:
            logits = self.predict(images)
        except ArtifactError as error:
            raise UserError(f"cannot run {self.path}: {error}") from error
        bad = int((~np.isfinite(logits)).any(axis=1).sum())
        if bad:
            raise UserError(f"cannot use the answers of {self.path}: its logits for {bad:,} images are not finite")
        return logits


def check_finite(images: Images) -> None:
    """Return if all values of the images are finite numbers.

    It is for where arrays come in from outside, not for the inner loop: a picture file always gives finite values. A
    quantized model would turn NaN into an answer like any other.

    Raises:
        UserError: some are NaN or infinite.
    """
    finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if not finite.all():
        raise UserError(f"image {int(finite.argmin())} holds NaN or infinity: expected finite numbers")


def open_model(path: Path, *, largest_batches: bool = False, own: OwnArchitecture | None = None) -> OpenModel:
    """Open a checkpoint (`.safetensors`), an exported artifact, or a file that somebody else made for our images.

    Args:
        path: of it.
        largest_batches: whether to give an artifact as many images at once as it was proved for, which is quicker,
            and not as many as it is deployed with.
        own: the code of the network of a checkpoint, where that is the user's own; other files have no use for it.

    Raises:
        UserError: it can't be read, is neither, or was altered since its export.
    """
    if path.suffix == CHECKPOINT_SUFFIX:
        checkpoint = load_checkpoint(path)
        return open_checkpoint(path, checkpoint.with_own(own) if is_own(checkpoint.architecture) else checkpoint)
    artifact = read_model(path)
    task = DATASETS[DEFAULT_DATASET].task
    if foreign := open_foreign(artifact, task):
        return OpenModel(path, foreign.predict, 1.0, task, foreign.caveats)
    runner = open_artifact(artifact)
    scheme = artifact.spec.scheme(runner.contract.scheme)
    batches = artifact.spec.batches(scheme) if scheme else (1,)
    return deployed(path, runner, batches[-1 if largest_batches else 0])


def read_model(path: Path) -> ArtifactFile:
    """Read an exported artifact where a checkpoint could have been named too.

    Raises:
        UserError: it can't be read, or has neither the suffix of a format nor that of a checkpoint.
    """
    try:
        return read_artifact(path)
    except UnknownFormatError as error:
        raise UserError(f"{error}, {CHECKPOINT_SUFFIX} (checkpoint)") from error


def open_checkpoint(path: Path, checkpoint: Checkpoint) -> OpenModel:
    """Return a checkpoint as a model that runs in eager PyTorch."""
    eager = eager_predictor(checkpoint)
    return OpenModel(
        path,
        lambda images: predict_in_batches(eager, images, EAGER_BATCH),
        checkpoint.temperature,
        checkpoint.task,
        checkpoint=checkpoint,
    )


def load_test_images(models: Sequence[OpenModel], data_dir: Path, pictures: Path | None = None) -> Split:
    """Return the test images that models, at least one, can be measured on.

    A file that was exported names its data set; which pictures of a folder are for testing, its checkpoint knows alone.

    Args:
        models: of one task.
        data_dir: the folder that holds the data set.
        pictures: where the folder of pictures is, if it is not where it was when a checkpoint was trained.

    Raises:
        UserError: the models are of several tasks, or not all for the same test images, or these can't be found or
            read; or a folder is given for models of a data set that is none.
    """
    _check_one_task(models)
    if checkpoint := _common_checkpoint(models, pictures):
        return of_checkpoint.load_test_images(checkpoint, data_dir, pictures)
    first, task = models[0], models[0].task
    if task.name not in DATASETS:
        stem = file_stem(task, first.contract.architecture) if first.contract else first.path.stem
        raise UserError(
            f"which images of {task.name} are for testing, its checkpoint alone knows: name that too, as in "
            f"`mnist-edge evaluate checkpoints/{stem}{CHECKPOINT_SUFFIX} {first.path}`"
        )
    if pictures is not None:
        raise UserError(f"{first.path} is for {task.name}, not for a folder of pictures: leave out --dataset")
    return registry.load_test_data(task.name, data_dir)


def _check_one_task(models: Sequence[OpenModel]) -> None:
    """Raise `UserError` where models tell apart different things, or in another form, and say what differs."""
    first = models[0]
    expected = _task_of_images(first.task)
    for other in models[1:]:
        found = _task_of_images(other.task)
        names = [field.name for field in fields(Task)]
        if differing := [name for name in names if getattr(expected, name) != getattr(found, name)]:
            raise UserError(
                f"the models are for different data sets, as {first.path} and {other.path} differ in their "
                f"{' and '.join(differing)}: evaluate them apart"
            )


def _task_of_images(task: Task) -> Task:
    """Return a task as its test images depend on it: those of a data set of the registry are not read from pictures."""
    if task.name not in DATASETS:
        return task
    theirs = DATASETS[task.name].task
    tensor = replace(task.input, name=theirs.input.name, polarity=theirs.input.polarity)
    return replace(task, input=tensor, preprocessing=theirs.preprocessing)


def _common_checkpoint(models: Sequence[OpenModel], pictures: Path | None) -> Checkpoint | None:
    """Return a checkpoint whose test images are those of all models of one task; None where there is no checkpoint.

    What is for testing in a folder of pictures without a `test/` was drawn when it was trained on: in another draw,
    most of these images were learned from, and a model that knows them would look better than it is.

    Raises:
        UserError: the test images of some are others, or may be, or the pictures are not there to compare.
    """
    known = [(model.path, model.checkpoint) for model in models if model.checkpoint]
    if not known:
        return None
    first, common = known[0]
    for path, checkpoint in known[1:]:
        if not of_checkpoint.have_same_test_images(common, checkpoint, pictures):
            raise UserError(f"the test images of {first} and {path} are not the same: evaluate them apart")
    digests = {checkpoint.digest for _, checkpoint in known}
    for model in models:
        if common.data.split_seed is not None and model.contract and model.contract.checkpoint not in digests:
            raise UserError(
                f"{model.path} was exported from another checkpoint than {first}, and that alone knows "
                "its test images: name it too, or evaluate them apart"
            )
    return common


def deployed(path: Path, runner: Runner, batch: int) -> OpenModel:
    """Return an open artifact as a model that is given `batch` images at once."""
    contract = runner.contract
    return OpenModel(
        path,
        lambda images: runner.predict_in_batches(images, batch),
        contract.temperature,
        contract.task,
        contract=contract,
    )


def evaluate(model: OpenModel, test: Split) -> Evaluation:
    """Measure a model at the batch size at which it is deployed.

    Raises:
        UserError: it can't be run.
    """
    logits = model.predict_logits(test.images.numpy())
    return evaluate_logits(logits, test.labels.numpy(), model.temperature)


def evaluate_corrupted(models: Sequence[OpenModel], test: Split, on_step: OnStep = nothing) -> list[Robustness]:
    """Measure the accuracy of each model on corrupted images, the same ones for all.

    Args:
        models: to measure.
        test: the images before they are corrupted.
        on_step: is called with what is done next.

    Raises:
        UserError: one can't be run, or its images can't be corrupted.
    """
    # torchvision takes over a second
    from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES, check_corruptible, corrupt

    for model in models:
        check_corruptible(model.task)
    labels = test.labels.numpy()
    measured: list[Robustness] = [{kind: [] for kind in CORRUPTIONS} for _ in models]
    for kind, severity in product(CORRUPTIONS, SEVERITIES):
        images = corrupt(test.images, kind, severity).numpy()
        for model, accuracies in zip(models, measured, strict=True):
            on_step(f"{model.path.name}: answers with {kind} of severity {severity}")
            accuracies[kind].append(float((model.predict_logits(images).argmax(axis=1) == labels).mean()))
    return measured
