"""The search for the best scheme: every scheme of a precision is exported and measured, and the best is taken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.fields import json_numbers
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.scheme import Scheme
from mnist_edge.parity.comparison import compare
from mnist_edge.parity.reference import EAGER_BATCH, Reference, eager_predictor
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.parity.tolerance import Goals
from mnist_edge.types import Images, Labels, Logits


@dataclass(frozen=True)
class Candidate:
    """An artifact in one of the schemes, measured on the validation images, one image at a time.

    Attributes:
        scheme: its name.
        size: in bytes; 0 where it can't be made.
        agreement: share of images with the trained model's top-1 answer, in [0, 1]; 0 where it can't be run.
        max_abs_diff: largest |Δlogit|; infinite where it can't be run.
        accuracy: share of images answered correctly, in [0, 1].
        refusal: why it can't be taken; empty where it can.
        chosen: whether it was.
    """

    scheme: str
    size: int
    agreement: float
    max_abs_diff: float
    accuracy: float
    refusal: str
    chosen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON types; an infinite difference is null."""
        return json_numbers(asdict(self))


@dataclass(frozen=True)
class _Validation:
    """The images that schemes are compared on, and the trained model's answers to them."""

    images: Images
    labels: Labels
    trained: Logits


def select_scheme(
    spec: FormatSpec,
    schemes: Sequence[Scheme],
    bundles: Sequence[Bundle | UserError],
    reference: Reference,
    goals: Goals,
    on_step: OnStep = nothing,
) -> tuple[Candidate, ...]:
    """Measure each scheme's artifact and mark the one to take.

    Those that keep the goal for |Δlogit| come first. Of them it is the one with the best agreement; then the one whose
    answers may differ least between devices, as its scheme states it; then the one with the smallest |Δlogit|, and then
    the smallest. An error in the place of an artifact says why there is none.

    Raises:
        UserError: none can be taken.
    """
    validation = _validation(spec, reference)
    measured = []
    for scheme, bundle in zip(schemes, bundles, strict=True):
        on_step(f"tries {scheme.name}")
        measured.append(_evaluate_scheme(spec, scheme, bundle, validation, goals.max_bytes))
    eligible = [candidate for candidate in measured if not candidate.refusal]
    if not eligible:
        reasons = "; ".join(f"{candidate.scheme}: {candidate.refusal}" for candidate in measured)
        raise UserError(f"no scheme of {spec.name} can be taken ({reasons})")
    bounds = {scheme.name: scheme.device_bound for scheme in schemes}

    def rank(each: Candidate) -> tuple[float, ...]:
        misses = goals.max_abs_diff is not None and each.max_abs_diff > goals.max_abs_diff
        return misses, -each.agreement, bounds[each.scheme], each.max_abs_diff, each.size

    best = min(eligible, key=rank)
    return tuple(replace(candidate, chosen=candidate is best) for candidate in measured)


def _validation(spec: FormatSpec, reference: Reference) -> _Validation:
    """Return the validation images, as many of them as the format's proof may cost."""
    images = reference.validation.images.numpy()[: spec.max_images]
    labels = reference.validation.labels.numpy()[: spec.max_images]
    return _Validation(images, labels, predict_in_batches(eager_predictor(reference.checkpoint), images, EAGER_BATCH))


def _evaluate_scheme(
    spec: FormatSpec, scheme: Scheme, bundle: Bundle | UserError, validation: _Validation, max_bytes: int | None
) -> Candidate:
    if isinstance(bundle, UserError):
        return Candidate(scheme.name, 0, 0.0, float("inf"), 0.0, str(bundle))
    try:
        with spec.open(bundle) as runner:
            inspection = spec.inspect(bundle, runner)
            problems = [*runner.mismatches, *(inspection.problems if inspection else ())]
            logits = runner.predict_in_batches(validation.images, spec.batch or 1)
    except ArtifactError as error:
        return Candidate(scheme.name, bundle.size, 0.0, float("inf"), 0.0, str(error))
    comparison = compare(logits, validation.trained, validation.labels, batch=1)
    if max_bytes is not None and bundle.size > max_bytes:
        problems.append(f"{bundle.size} bytes, allowed {max_bytes}")
    return Candidate(
        scheme=scheme.name,
        size=bundle.size,
        agreement=comparison.agreement,
        max_abs_diff=comparison.max_abs_diff,
        accuracy=comparison.accuracy,
        refusal=problems[0] if problems else "",
    )
