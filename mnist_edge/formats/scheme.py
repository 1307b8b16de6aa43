"""How an artifact stores and computes its numbers, and what it may differ by from the trained model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, inf


class Precision(StrEnum):
    """The type in which weights are stored."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"


USUAL_LOGIT = 50.0
"""Nearly twice as far from 0 as any logit of the built-in models (26.7). Rounding errors grow with the logits."""


def bound_at(bound: float, largest: float) -> float:
    """Return a bound on |Δlogit| for logits of which the largest is so far from 0.

    Beyond `USUAL_LOGIT`, it is a share of it, as the spacing of floats is.
    """
    return bound * largest / USUAL_LOGIT if USUAL_LOGIT < largest < inf else bound


@dataclass(frozen=True)
class Tolerance:
    """What an exported artifact may differ by from the trained model.

    Attributes:
        batches: the batch sizes at which it is compared; the first one is that of deployment.
        max_abs_diff: the largest |Δlogit| allowed between logits of up to `USUAL_LOGIT`, or None where only answers
            count.
        min_agreement: the least share of images whose top-1 answer is the same, in [0, 1].
        max_accuracy_drop: by how much the accuracy may be lower, in [0, 1].
    """

    batches: tuple[int, ...]
    max_abs_diff: float | None
    min_agreement: float
    max_accuracy_drop: float

    def lets_one_differ(self, images: int) -> bool:
        """Say whether one of so many images may get another answer, whatever it does to the accuracy."""
        return (images - 1) / images >= self.min_agreement  # the quotient that an agreement is, rounded alike

    def takes_drop(self, drop: float) -> bool:
        """Say whether the accuracy may be so much lower; differences of shares are rounded."""
        return drop <= self.max_accuracy_drop + 1e-12

    def lets_one_be_lost(self, images: int) -> bool:
        """Say whether one of so many images may get another answer, though the model answers it correctly."""
        return self.lets_one_differ(images) and self.takes_drop(1 / images)

    def for_logits(self, largest: float) -> "Tolerance":
        """Return the same for a trained model's logits, of which the largest is so far from 0; see `bound_at`."""
        if self.max_abs_diff is None:
            return self
        return replace(self, max_abs_diff=bound_at(self.max_abs_diff, largest))


@dataclass(frozen=True)
class Scheme:
    """How numbers are stored and computed.

    Attributes:
        name: in contracts and on the command line.
        precision: the type in which the weights are stored.
        batch_invariant: whether the answer to an image is the same whatever else is in its batch. Where it is not, the
            artifact is judged, and run, at batch 1.
        device_bound: the largest |Δlogit| that another processor may show.
        tolerance: by which artifacts are judged.
        changed_per_error: how many answers may change for each that the trained model gets wrong itself, where that is
            more than the tolerance allows.
        least_options: options of the format that must not be less than this, such as the ONNX opset of an operator.
    """

    name: str
    precision: Precision
    batch_invariant: bool
    device_bound: float
    tolerance: Tolerance
    changed_per_error: float = 0.0
    least_options: tuple[tuple[str, int], ...] = ()

    def with_least_options(self, options: Mapping[str, int]) -> dict[str, int]:
        """Return options of the format, none of them less than this scheme needs."""
        return {**options, **{name: max(least, options.get(name, least)) for name, least in self.least_options}}

    @property
    def quantized(self) -> bool:
        """Whether the weights are stored in fewer bits than they were trained in."""
        return self.precision is not Precision.FP32

    def bound_for(self, largest: float) -> float:
        """Return the largest |Δlogit| between processors for logits of which the largest is so far from 0.

        In whole steps, since what another machine computes may be a last digit away.
        """
        if not largest < inf:  # also NaN
            return self.device_bound
        return self.device_bound * max(1, ceil(largest / USUAL_LOGIT))

    def tolerance_at(self, accuracy: float) -> Tolerance:
        """Return by what artifacts are judged of a model that is right on this share of the images, in [0, 1]."""
        changed = self.changed_per_error * (1 - accuracy)
        return replace(self.tolerance, min_agreement=min(self.tolerance.min_agreement, 1 - changed))


FLOAT_BOUND = 1e-4
"""|Δlogit| between processors where all is computed in float32: only the order of sums differs. 2e-5 was measured."""

FLOAT32 = Scheme(
    name="none",
    precision=Precision.FP32,
    batch_invariant=True,
    device_bound=FLOAT_BOUND,
    tolerance=Tolerance(batches=(1, 7, 1_000), max_abs_diff=1e-4, min_agreement=1.0, max_accuracy_drop=0.0),
)
"""The trained weights as they are."""

INT8_TOLERANCE = Tolerance(batches=(1,), max_abs_diff=None, min_agreement=0.998, max_accuracy_drop=0.0010)
"""Weights in 8 bits: answers count, not logits, one image at a time, as the runner gives them."""

INT8_CHANGED_PER_ERROR = 0.05
"""Rounding changes answers to images that lie between two classes, of which a model that errs more often has more.

Thirteen int8 artifacts, of MLPs and CNNs on MNIST and on Fashion-MNIST, changed 1 to 6 % as many answers as were wrong.
"""

INT4_TOLERANCE = Tolerance(batches=(1, 7, 1_000), max_abs_diff=None, min_agreement=0.995, max_accuracy_drop=0.0020)
"""Weights in 4 bits. In blocks of at most 32 they changed 0.22 % of the built-in MLP's answers, its accuracy by 0.12
points."""
