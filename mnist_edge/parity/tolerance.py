"""What an artifact may differ by: goals on top of the tolerance of its scheme, and the figures that violate them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mnist_edge.formats.scheme import Tolerance
from mnist_edge.parity.comparison import Comparison
from mnist_edge.percent import percent_down, percent_of_bound, percent_up


@dataclass(frozen=True)
class Goals:
    """What the user asks for beyond the tolerance; None asks for nothing. Olive calls them metric goals.

    Attributes:
        max_abs_diff: the largest |Δlogit| allowed.
        min_agreement: the least share of images whose top-1 answer is the same, in [0, 1].
        max_accuracy_drop: by how much the accuracy may be lower, in [0, 1].
        max_bytes: the largest size of a quantized artifact.

    Raises:
        ValueError: one is not a finite number, is negative, or is a share beyond 1.
    """

    max_abs_diff: float | None = None
    min_agreement: float | None = None
    max_accuracy_drop: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing or everything keeps, as a bound of NaN and a share in percent."""
        for name, goal in asdict(self).items():
            share = name in ("min_agreement", "max_accuracy_drop")
            if goal is not None and not (0 <= goal <= 1 if share else 0 <= goal < math.inf):  # also NaN
                expected = "in [0, 1]" if share else "from 0"
                raise ValueError(f"the goal {name} is {goal}, expected a finite number {expected}")

    def tighten(self, tolerance: Tolerance) -> Tolerance:
        """Return the stricter of goal and tolerance, figure by figure: a goal never loosens the proof."""
        errors = [error for error in (self.max_abs_diff, tolerance.max_abs_diff) if error is not None]
        agreement, drop = self.min_agreement, self.max_accuracy_drop
        return Tolerance(
            batches=tolerance.batches,
            max_abs_diff=min(errors, default=None),
            min_agreement=max(tolerance.min_agreement, 0.0 if agreement is None else agreement),
            max_accuracy_drop=min(tolerance.max_accuracy_drop, 1.0 if drop is None else drop),
        )


NO_GOALS = Goals()
"""Nothing beyond the tolerance."""


@dataclass(frozen=True)
class RequiredTolerance:
    """The tightest tolerance that an artifact keeps at every batch size.

    Attributes:
        max_abs_diff: bound on |Δlogit|, rounded up to three digits; infinite where a logit is not finite.
        min_agreement: share of answers that are the same, in [0, 1].
        max_accuracy_drop: loss of accuracy, in [0, 1].
    """

    max_abs_diff: float
    min_agreement: float
    max_accuracy_drop: float


def required_tolerance(comparisons: Sequence[Comparison], reference_accuracy: float) -> RequiredTolerance:
    """Return the tightest tolerance under which none of these comparisons, at least one, has `violations`."""
    return RequiredTolerance(
        max_abs_diff=round_up(max(comparison.max_abs_diff for comparison in comparisons)),
        min_agreement=min(comparison.agreement for comparison in comparisons),
        max_accuracy_drop=max(0.0, *(reference_accuracy - comparison.accuracy for comparison in comparisons)),
    )


def violations(comparison: Comparison, tolerance: Tolerance, reference_accuracy: float) -> Iterator[str]:
    """Yield a line for each figure outside the tolerance, with the smallest tolerance that would have passed.

    `reference_accuracy` is the trained model's on the same images, in [0, 1].
    """
    at = comparison.where
    if not math.isfinite(comparison.max_abs_diff):
        yield f"some logits are not finite {at}"
    elif excess := excess_of(comparison.max_abs_diff, tolerance, at):
        yield excess
    if comparison.agreement < tolerance.min_agreement:
        yield (
            f"{percent_down(comparison.agreement)}% of the answers are the same {at}, required "
            f"{percent_of_bound(tolerance.min_agreement)}% ({percent_down(comparison.agreement)}% would have passed)"
            f"{_counted(comparison, tolerance)}"
        )
    drop = reference_accuracy - comparison.accuracy
    if not tolerance.takes_drop(drop):
        yield (
            f"accuracy is {percent_up(drop)} points lower {at}, allowed "
            f"{percent_of_bound(tolerance.max_accuracy_drop)} ({percent_up(drop)} would have passed)"
        )


def _counted(comparison: Comparison, tolerance: Tolerance) -> str:
    """Return how many answers differ, where some may, but of so few images none."""
    if tolerance.min_agreement == 1 or tolerance.lets_one_differ(comparison.images):
        return ""
    changed = round((1 - comparison.agreement) * comparison.images)
    return f"; {changed:,} of {comparison.images:,} answers differ{'s' if changed == 1 else ''}, of so few none may"


def excess_of(max_abs_diff: float, tolerance: Tolerance, where: str) -> str | None:
    """Return a line if the largest |Δlogit| is more than the tolerance allows, or None."""
    allowed = tolerance.max_abs_diff
    if allowed is None or max_abs_diff <= allowed:
        return None
    passing = f" ({round_up(max_abs_diff):.3g} would have passed)" if math.isfinite(max_abs_diff) else ""
    return f"largest |Δlogit| is {max_abs_diff:.3g} {where}, allowed {allowed:.3g}{passing}"


def round_up(value: float) -> float:
    """Return the least number of three significant digits that is not below a `value` of at least 0, or infinity."""
    if value == 0 or math.isinf(value):
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    rounded = float(f"{math.ceil(value / step) * step:.3g}")
    return rounded if rounded >= value else float(f"{rounded + step:.3g}")
