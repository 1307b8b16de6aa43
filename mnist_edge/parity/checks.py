"""Findings on an artifact, each as an object, and the checks beyond its answers to the test images."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from mnist_edge.artifact.fields import json_numbers
from mnist_edge.artifact.figures import Figures
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.scheme import FLOAT32, Tolerance
from mnist_edge.parity.logits import absolute_differences, largest_logit
from mnist_edge.parity.tolerance import excess_of
from mnist_edge.types import Images, Labels, Logits, Predict, PredictInBatches, TensorSpec

SHUFFLED_BATCH_SIZES = (7, 100)
"""Sizes of the shuffled batches."""


@dataclass(frozen=True)
class Check:
    """One thing that was checked: truthy unless it failed.

    Attributes:
        code: what, for programs; it does not change with the wording.
        title: what, for people.
        found: the outcome, in a line.
        problems: a line for each way in which it failed.
        decides: False for what is only measured.
        available: False for what can't be checked for this artifact.
        figures: what was measured, by name; infinite where a logit is not finite.
        seconds: how long it took.
    """

    code: str
    title: str
    found: str
    problems: tuple[str, ...] = ()
    decides: bool = True
    available: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The outcome in a word."""
        if self.problems:
            return "FAILED"
        return "not available" if not self.available else "ok" if self.decides else "measured"

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON types; what is infinite is null."""
        return {
            "code": self.code,
            "title": self.title,
            "verdict": self.verdict,
            "found": self.found,
            "problems": list(self.problems),
            "figures": json_numbers(self.figures),
        }


def timed(check: Callable[[], Check]) -> Check:
    """Return what a check finds, with the time it took."""
    start = perf_counter()
    return replace(check(), seconds=perf_counter() - start)


def as_expected(code: str, title: str, problems: tuple[str, ...]) -> Check:
    """Return the check of something that is as it should be, or has problems."""
    return Check(code, title, "not as expected" if problems else "as expected", problems)


def not_available(code: str, title: str, reason: str) -> Check:
    """Return the check of something that can't be checked for this artifact."""
    return Check(code, title, reason, decides=False, available=False)


def check_batch_invariance(
    predict: PredictInBatches, tolerance: Tolerance, images: Images, alone: Logits | None = None
) -> Check:
    """Compare the logits of images given alone with those among others, shuffled, in `SHUFFLED_BATCH_SIZES`.

    It fails where the tolerance bounds logits and these differ by more. A dynamically quantized layer takes its scale
    from the whole batch: the tolerance of such schemes bounds answers alone, and it is measured only.

    Args:
        predict: runs the artifact on images in batches of a size.
        tolerance: of the artifact.
        images: float32 `[N, channels, height, width]`.
        alone: the logits of the images given alone, where they are known already.

    Raises:
        ArtifactError: the artifact does not take a batch.
    """
    if alone is None:
        alone = predict(images, 1)
    largest, changed = 0.0, 0
    for batch in SHUFFLED_BATCH_SIZES:
        order = np.random.default_rng(batch).permutation(len(images))
        among = np.empty_like(alone)
        among[order] = predict(images[order], batch)
        largest = max(largest, float(absolute_differences(alone, among).max()))
        changed = max(changed, int((alone.argmax(axis=1) != among.argmax(axis=1)).sum()))
    excess = excess_of(largest, tolerance, "between an image alone and in a shuffled batch")
    return Check(
        code="batch_invariance",
        title="shuffled batches",
        found=f"|Δlogit| ≤ {largest:.3g}, {changed} of {len(images):,} change",
        problems=(excess,) if excess else (),
        decides=tolerance.max_abs_diff is not None,
        figures={"max_abs_diff": largest, "changed": changed, "images": len(images)},
    )


def check_synthetic_inputs(predict: Predict, trained: Predict, tolerance: Tolerance, tensor: TensorSpec) -> Check:
    """Compare with the trained model on inputs that no test image is like; without a bound they need be finite only.

    Where the trained model's own logits are not finite, as those of a network that divides by the sum of a black image,
    the artifact's may not be either; without a bound such an input is left out, as rounding makes some number of NaN.

    Args:
        predict: runs the artifact, on any number of images.
        trained: runs the trained model.
        tolerance: of the scheme.
        tensor: its input.
    """
    images = np.concatenate(list(synthetic_inputs(tensor).values()))
    logits, expected = predict(images), trained(images)
    judged = np.isfinite(expected).all(axis=1)
    largest = float(absolute_differences(expected, logits)[judged].max(initial=0))
    excess = None
    if not np.isfinite(logits[judged]).all():
        excess = "some logits are not finite on synthetic inputs"
    elif judged.any():
        excess = excess_of(largest, tolerance.for_logits(largest_logit(expected[judged])), "on synthetic inputs")
    answered = int(np.isfinite(logits[~judged]).all(axis=1).sum())
    problems = [excess] if excess else []
    if answered and tolerance.max_abs_diff is not None:
        problems.append(f"finite logits for {answered} of the synthetic inputs for which the trained model's are not")
    left = f", {len(images) - int(judged.sum())} without finite logits of the trained model" if not judged.all() else ""
    return Check(
        code="synthetic_inputs",
        title="synthetic inputs",
        found=f"|Δlogit| ≤ {largest:.3g} on {int(judged.sum())}{left}",
        problems=tuple(problems),
        figures={"max_abs_diff": largest, "images": int(judged.sum())},
    )


def synthetic_inputs(tensor: TensorSpec) -> dict[str, Images]:
    """Return inputs, float32 `[N, channels, height, width]`: lowest, highest, uniform noise, one bright pixel each."""
    low, high = tensor.range
    channels, height, width = tensor.shape
    pixels = np.full((16, *tensor.shape), low, np.float32)
    places = [(row, column) for row in _four(height) for column in _four(width)]
    for number, (row, column) in enumerate(places):
        pixels[number, :, row, column] = high
    noise = np.random.default_rng(0).random((8, channels, height, width), np.float32)
    return {
        "lowest": np.full((1, *tensor.shape), low, np.float32),
        "highest": np.full((1, *tensor.shape), high, np.float32),
        "noise": low + (high - low) * noise,
        "one pixel": pixels,
    }


def _four(side: int) -> list[int]:
    """Return four indices from the first to the last of a side."""
    return [round(step * (side - 1) / 3) for step in range(4)]


def check_nonfinite_inputs(predict: Predict, trained: Predict, tolerance: Tolerance, image: Images) -> Check:
    """Check that an image with NaN or infinity gets no answer that looks like any other: it is refused, or gives NaN.

    Unless the trained model answers it as well: a hyperbolic tangent or a clamp makes a number of infinity.
    Rounding to 8 bits makes some number of NaN, so an artifact of which answers alone are bounded is measured only;
    whoever gives it arrays has to refuse such images before.

    Args:
        predict: runs the artifact, on any number of images.
        trained: runs the trained model.
        tolerance: of the artifact.
        image: `[channels, height, width]`.
    """
    center = tuple(side // 2 for side in image.shape)
    outcomes = {}
    for name, value in (("NaN", np.nan), ("+∞", np.inf), ("-∞", -np.inf)):
        bad = image[np.newaxis].copy()
        bad[(0, *center)] = value
        try:
            outcomes[name] = _outcome(predict(bad), trained(bad), tolerance)
        except ArtifactError:
            outcomes[name] = "refused"
    answered = [name for name, outcome in outcomes.items() if outcome == "answered"]
    decides = tolerance.max_abs_diff is not None
    return Check(
        code="nonfinite_inputs",
        title="NaN and infinity",
        found=", ".join(f"{name} {outcome}" for name, outcome in outcomes.items()),
        problems=tuple(f"{name} is answered like an image" for name in answered) if decides else (),
        decides=decides,
    )


def _outcome(found: Logits, expected: Logits, tolerance: Tolerance) -> str:
    """Say what an artifact made of an image with a number that is not finite, beside what the trained model gives."""
    if not np.isfinite(found).all():
        return "not finite"
    if tolerance.max_abs_diff is None or not np.isfinite(expected).all():
        return "answered"
    same = absolute_differences(expected, found).max() <= tolerance.max_abs_diff
    return "answered as by the trained model" if same else "answered"


def check_figures(stated: Figures, logits: Logits, trained: Logits, labels: Labels) -> Check:
    """Check what an artifact says of its own answers; |Δlogit| may differ as trained models on two processors do.

    Args:
        stated: what it says.
        logits: what it gives, `[N, classes]`.
        trained: what the trained model gives, of the same shape.
        labels: of the images, `[N]`.
    """
    measured = Figures.of(logits, trained, labels)
    if stated.images != measured.images:
        reason = f"they are of {stated.images:,} images, not of {measured.images:,}"
        return not_available("figures", "figures", reason)
    bound = FLOAT32.bound_for(largest_logit(trained))
    problems = [
        f"it says that its {name} is {said:.6g}, and it is {found:.6g}"
        for (name, said), found in zip(asdict(stated).items(), asdict(measured).values(), strict=True)
        if abs(said - found) > (bound if name == "max_abs_diff" else 0)
    ]
    return as_expected("figures", "figures", tuple(problems))
