"""Does an exported file give the trained model's answers? The judgement, and the numbers it was made on."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_edge.parity.ood_threshold import calibrated_certainty
from mnist_edge.formats.base import ArtefactError
from mnist_edge.parity.test_vectors import choose_golden, exact_logits
from mnist_edge.artifact.test_vectors import Golden
from mnist_edge.formats.onnx.runner import Predict
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.mnist import Split, TrainingData


@dataclass(frozen=True)
class Tolerance:
    """What an exported file may differ by.

    Attributes:
        batches: the batch sizes at which it is compared.
        max_error: the largest |Δlogit| allowed, or None where only answers count.
        min_agreement: the least share of images whose top-1 answer is the same, in [0, 1].
        max_accuracy_drop: by how much the accuracy may be lower, in [0, 1].
    """

    batches: tuple[int, ...]
    max_error: float | None
    min_agreement: float
    max_accuracy_drop: float


@dataclass(frozen=True)
class Goals:
    """What the user asks for beyond the tolerance; None asks for nothing.

    Attributes:
        max_error: the largest |Δlogit| allowed.
        min_agreement: the least share of images whose top-1 answer is the same, in [0, 1].
        max_accuracy_drop: by how much the accuracy may be lower, in [0, 1].
        max_bytes: the largest size of a quantised file.
    """

    max_error: float | None = None
    min_agreement: float | None = None
    max_accuracy_drop: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that compare with nothing: a bound of NaN would bound nothing."""
        for goal in (self.max_error, self.min_agreement, self.max_accuracy_drop):
            if goal is not None and not math.isfinite(goal):
                raise ValueError(f"a goal is {goal}, expected a finite number")

    def tighten(self, tolerance: Tolerance) -> Tolerance:
        """Return the stricter of goal and tolerance, figure by figure: a goal never loosens the proof."""
        errors = [error for error in (self.max_error, tolerance.max_error) if error is not None]
        agreement, drop = self.min_agreement, self.max_accuracy_drop
        return Tolerance(
            batches=tolerance.batches,
            max_error=min(errors, default=None),
            min_agreement=max(tolerance.min_agreement, 0.0 if agreement is None else agreement),
            max_accuracy_drop=min(tolerance.max_accuracy_drop, 1.0 if drop is None else drop),
        )


NO_GOALS = Goals()
"""Nothing beyond the tolerance."""

TOLERANCES = {
    "fp32": Tolerance(batches=(1, 7, 1_000), max_error=1e-4, min_agreement=1.0, max_accuracy_drop=0.0),
    # A dynamically quantised file is judged as it is deployed: its activation scale is taken over the whole batch, so
    # the answer for one image depends on its neighbours.
    "int8": Tolerance(batches=(1,), max_error=None, min_agreement=0.998, max_accuracy_drop=0.0010),
}
"""The tolerance of each precision."""


@dataclass(frozen=True)
class Reference:
    """The trained model's answers to the test images.

    Attributes:
        checkpoint: the trained model.
        images: float32 `[N, 1, 28, 28]` in [0, 1].
        labels: int64 `[N]` in 0..9.
        logits: float32 `[N, 10]`, by eager PyTorch in batches of 1,000.
        held_back: images that were neither trained nor tested on: ways to quantise are weighed on them.
        golden: the golden vectors, chosen from the held-back images.
        certainty: how much evidence an answer must have, calibrated on the held-back images.
    """

    checkpoint: Checkpoint
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    held_back: Split
    golden: Golden
    certainty: float

    @property
    def accuracy(self) -> float:
        """The trained model's accuracy on the images, in [0, 1]."""
        return _share(self.logits.argmax(axis=1) == self.labels)

    def part(self, chosen: NDArray[np.intp]) -> "Reference":
        """Return the reference on the images with these indices only."""
        return replace(self, images=self.images[chosen], labels=self.labels[chosen], logits=self.logits[chosen])


def make_reference(checkpoint: Checkpoint, test: Split, data: TrainingData) -> Reference:
    """Answer the test images with the trained model; from the held-back images, take what travels in its files."""
    exact = exact_logits(checkpoint.build(), data.validation.images)
    return Reference(
        checkpoint=checkpoint,
        images=test.images.numpy(),
        labels=test.labels.numpy(),
        logits=in_batches(eager_predictor(checkpoint), test.images.numpy(), 1_000),
        held_back=data.validation,
        golden=choose_golden(data.validation, exact, first=len(data.train)),
        certainty=calibrated_certainty(exact, checkpoint.temperature),
    )


def eager_predictor(checkpoint: Checkpoint) -> Predict:
    """Return the function that runs the checkpoint in eager PyTorch."""
    model = checkpoint.build()

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(torch.from_numpy(images)).numpy()
        return logits

    return predict


def in_batches(predict: Predict, images: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    """Return the logits, float32 `[N, 10]`, of images given to `predict` in batches of `batch`; the last may be less.

    Raises:
        ArtefactError: the output is not of the shape or type of logits.
    """
    results = []
    for start in range(0, len(images), batch):
        chunk = images[start : start + batch]
        logits = predict(chunk)
        if logits.shape != (len(chunk), 10) or logits.dtype != np.float32:
            raise ArtefactError(
                f"for a batch of {len(chunk)} it gives {logits.dtype} {list(logits.shape)}, "
                f"expected float32 [{len(chunk)}, 10]"
            )
        results.append(logits)
    return np.concatenate(results)


@dataclass(frozen=True)
class Comparison:
    """A file against the trained model, at one batch size.

    Attributes:
        batch: images a call.
        max_error: largest |Δlogit|; infinite where a logit is not a finite number.
        mean_error: mean |Δlogit|; the same.
        agreement: share of images with the same top-1 answer, in [0, 1].
        accuracy: share of images answered rightly, in [0, 1].
        images: how many images it was compared on.
        part: whether they are a part of the test images only.
    """

    batch: int
    max_error: float
    mean_error: float
    agreement: float
    accuracy: float
    images: int
    part: bool = False

    @property
    def where(self) -> str:
        """What was compared, in words."""
        return f"at batch {self.batch}" + (f" on {self.images:,} of the images" if self.part else "")


@dataclass(frozen=True)
class ParityReport:
    """The verdict on one file: truthy when it passed.

    Attributes:
        images: how many images it was judged on.
        tolerance: what it was judged by, or None where it could not be run.
        reference_accuracy: the trained model's accuracy on them, in [0, 1].
        comparisons: the figures at each batch size.
        problems: a line for each way in which it failed; none when it passed.
    """

    images: int
    tolerance: Tolerance | None
    reference_accuracy: float
    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return not self.problems

    @property
    def max_error(self) -> float | None:
        """Largest |Δlogit| over the batch sizes, or None where nothing was compared."""
        return max((comparison.max_error for comparison in self.comparisons), default=None)

    @property
    def agreement(self) -> float | None:
        """Least agreement over the batch sizes, or None where nothing was compared."""
        return min((comparison.agreement for comparison in self.comparisons), default=None)

    @property
    def accuracy(self) -> float | None:
        """Least accuracy over the batch sizes, or None where nothing was compared."""
        return min((comparison.accuracy for comparison in self.comparisons), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types; an infinite error is null."""
        comparisons = [
            {name: value if math.isfinite(value) else None for name, value in asdict(comparison).items()}
            for comparison in self.comparisons
        ]
        return {
            "passed": bool(self),
            "images": self.images,
            "tolerance": asdict(self.tolerance) if self.tolerance else None,
            "reference_accuracy": self.reference_accuracy,
            "comparisons": comparisons,
            "problems": list(self.problems),
        }


def compare(reference: Reference, logits: NDArray[np.float32], batch: int) -> Comparison:
    """Return the figures of `logits`, float32 `[N, 10]`, against the reference."""
    return compare_logits(logits, reference.logits, reference.labels, batch)


def compare_logits(
    logits: NDArray[np.float32], trained: NDArray[np.float32], labels: NDArray[np.int64], batch: int
) -> Comparison:
    """Return the figures of `logits`, float32 `[N, 10]`, against those of the trained model and the labels `[N]`."""
    errors = np.abs(logits.astype(np.float64) - trained)
    errors = np.where(np.isfinite(errors), errors, np.inf)
    answers = logits.argmax(axis=1)
    return Comparison(
        batch=batch,
        max_error=float(errors.max()),
        mean_error=float(errors.mean()),
        agreement=_share(answers == trained.argmax(axis=1)),
        accuracy=_share(answers == labels),
        images=len(logits),
    )


def shortfalls(comparison: Comparison, tolerance: Tolerance, reference_accuracy: float) -> list[str]:
    """Return a line for each figure outside the tolerance, with the smallest tolerance that would have passed."""
    lines = []
    at = comparison.where
    if not math.isfinite(comparison.max_error):
        lines.append(f"some logits are not finite {at}")
    elif tolerance.max_error is not None and comparison.max_error > tolerance.max_error:
        lines.append(
            f"largest |Δlogit| is {comparison.max_error:.3g} {at}, allowed {tolerance.max_error:.3g} "
            f"({round_up(comparison.max_error):.3g} would have passed)"
        )
    if comparison.agreement < tolerance.min_agreement:
        lines.append(
            f"{comparison.agreement:.2%} of the answers are the same {at}, required {tolerance.min_agreement:.2%} "
            f"({comparison.agreement:.2%} would have passed)"
        )
    drop = reference_accuracy - comparison.accuracy
    if drop > tolerance.max_accuracy_drop + 1e-12:
        lines.append(
            f"accuracy is {100 * drop:.2f} points lower {at}, allowed {100 * tolerance.max_accuracy_drop:.2f} "
            f"({100 * drop:.2f} would have passed)"
        )
    return lines


def round_up(value: float) -> float:
    """Return the least number of three significant digits that is not below a positive finite `value`."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / step) * step


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean())
