"""An artifact's answers, at each batch size and to inputs that no test image is like, and the checks on them."""

from dataclasses import dataclass, replace
from time import perf_counter

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import Scheme, Tolerance
from mnist_edge.parity.checks import (
    Check,
    check_batch_invariance,
    check_nonfinite_inputs,
    check_synthetic_inputs,
    not_available,
    timed,
)
from mnist_edge.parity.comparison import Comparison, compare
from mnist_edge.parity.evaluate import deployed
from mnist_edge.parity.logits import largest_logit
from mnist_edge.parity.reference import Reference, eager_predictor
from mnist_edge.parity.steps import OnStep
from mnist_edge.parity.test_vectors import check_selfcheck
from mnist_edge.parity.tolerance import violations
from mnist_edge.percent import percent_down
from mnist_edge.types import Logits

ODD_BATCH = 7
"""A batch size that every artifact without a fixed one must take, whatever it is compared at."""


@dataclass(frozen=True)
class Answers:
    """An artifact's answers at each batch size.

    Attributes:
        comparisons: with the trained model's.
        checks: the verdict on each.
        logits: at the batch size at which they differ most, or None where it could not be run.
        alone: of the images, each given alone, or None where that was not compared.
    """

    comparisons: tuple[Comparison, ...]
    checks: tuple[Check, ...]
    logits: Logits | None
    alone: Logits | None


def compare_answers(
    runner: Runner, batches: tuple[int, ...], tolerance: Tolerance, reference: Reference, on_step: OnStep
) -> Answers:
    """Compare the answers at each batch size."""
    comparisons: list[Comparison] = []
    checks: list[Check] = []
    logits = alone = None
    try:
        if runner.contract.batch is None:
            runner.predict_in_batches(reference.images[:ODD_BATCH], ODD_BATCH)
        for batch in batches:
            on_step(f"answers at batch {batch:,}")
            start = perf_counter()
            found = runner.predict_in_batches(reference.images, batch)
            if batch == 1:
                alone = found
            comparison = compare(found, reference.logits, reference.labels, batch)
            if all(comparison.max_abs_diff > other.max_abs_diff for other in comparisons):
                logits = found
            comparisons.append(comparison)
            check = _check_comparison(comparison, tolerance, reference.accuracy)
            checks.append(replace(check, seconds=perf_counter() - start))
    except ArtifactError as error:
        checks.append(Check("batch_sizes", "other batch sizes", "cannot be run", (str(error),)))
        logits = None
    return Answers(tuple(comparisons), tuple(checks), logits, alone)


def _check_comparison(comparison: Comparison, tolerance: Tolerance, reference_accuracy: float) -> Check:
    return Check(
        code=f"batch_{comparison.batch}",
        title=f"batch {comparison.batch:,}",
        found=f"|Δlogit| ≤ {comparison.max_abs_diff:.3g}, {percent_down(comparison.agreement)}% same",
        problems=tuple(violations(comparison, tolerance, reference_accuracy)),
        figures={
            "max_abs_diff": comparison.max_abs_diff,
            "agreement": comparison.agreement,
            "accuracy": comparison.accuracy,
            "images": comparison.images,
        },
    )


def check_other_inputs(
    artifact: ArtifactFile,
    runner: Runner,
    scheme: Scheme,
    reference: Reference,
    alone: Logits | None,
    on_step: OnStep,
) -> list[Check]:
    """Check its own test vectors, and by the tolerance of the scheme itself shuffled batches and unlikely inputs."""
    batches = artifact.spec.batches(scheme)
    first = deployed(artifact.path, runner, batches[0])
    trained = eager_predictor(reference.checkpoint)
    fixed, tolerance = runner.contract.batch, scheme.tolerance.for_logits(largest_logit(reference.logits))

    def batch_invariance() -> Check:
        if fixed is not None:
            return not_available("batch_invariance", "shuffled batches", f"it takes batches of {fixed} only")
        return check_batch_invariance(runner.predict_in_batches, tolerance, reference.images, alone)

    on_step("answers in shuffled batches")
    try:
        return [
            timed(lambda: check_selfcheck(artifact.path, runner)),
            timed(batch_invariance),
            timed(lambda: check_synthetic_inputs(first.predict, trained, scheme.tolerance, runner.contract.task.input)),
            timed(lambda: check_nonfinite_inputs(first.predict, trained, tolerance, reference.images[0])),
        ]
    except ArtifactError as error:
        return [Check("other_inputs", "other inputs", "cannot be run", (str(error),))]
