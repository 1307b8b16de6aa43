"""Checks beyond the test images one way: neighbours in the batch, inputs at the edges, numbers that are none."""

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.parity.evaluate import OpenModel
from mnist_edge.formats.base import ArtefactError
from mnist_edge.parity.comparison import Reference, Tolerance, eager_predictor, in_batches, round_up
from mnist_edge.parity.statistics import absolute_errors, margin
from mnist_edge.formats.onnx.runner import Predict

Images = NDArray[np.float32]

SAMPLE = 500
"""Images that are given in more ways than one: half of them those with the smallest margin, half evenly spread."""

COMPOSITIONS = (7, 100)
"""Sizes of the shuffled batches."""


@dataclass(frozen=True)
class Check:
    """One thing that was examined: truthy unless it failed.

    Attributes:
        name: what.
        found: what was measured, in a line.
        problems: a line for each way in which it failed.
        judged: False for what is measured and told, but does not decide.
    """

    name: str
    found: str
    problems: tuple[str, ...] = ()
    judged: bool = True

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The outcome in a word."""
        return "FAILED" if self.problems else "ok" if self.judged else "measured"


def sample_of(reference: Reference) -> Reference:
    """Return the part of the reference that is given in more ways than one, `SAMPLE` images at most."""
    count = len(reference.images)
    hardest = np.argsort(margin(reference.logits), kind="stable")[: SAMPLE // 2]
    spread = np.linspace(0, count - 1, min(SAMPLE - len(hardest), count)).astype(np.intp)
    return reference.part(np.union1d(hardest, spread))


def stress(model: OpenModel, tolerance: Tolerance, reference: Reference, sample: Reference) -> tuple[Check, ...]:
    """Examine a file: in shuffled batches of the sample's images, on inputs at the edges, with NaN and infinity.

    Raises:
        ArtefactError: the file does not take a batch.
    """
    trained = eager_predictor(reference.checkpoint)
    return (
        check_neighbours(model.predict, tolerance, sample.images),
        check_edges(model.predict, trained, tolerance),
        check_refusal(model, sample.images[0]),
    )


def check_neighbours(predict: Predict, tolerance: Tolerance, images: Images) -> Check:
    """Compare the logits of images given alone with those among others, shuffled, in batches of `COMPOSITIONS`.

    It fails where logits are bounded and these differ by more than the bound. A dynamically quantised layer takes its
    scale from the whole batch, so there it is measured only.
    """
    alone = in_batches(predict, images, 1)
    largest, changed = 0.0, 0
    for batch in COMPOSITIONS:
        order = np.random.default_rng(batch).permutation(len(images))
        among = np.empty_like(alone)
        among[order] = in_batches(predict, images[order], batch)
        largest = max(largest, float(absolute_errors(alone, among).max()))
        changed = max(changed, int((alone.argmax(axis=1) != among.argmax(axis=1)).sum()))
    found = f"|Δlogit| ≤ {largest:.3g}, {changed} of {len(images):,} change"
    problems = _excess(largest, tolerance, "between an image alone and in a shuffled batch")
    return Check("shuffled batches", found, problems, judged=tolerance.max_error is not None)


def check_edges(predict: Predict, trained: Predict, tolerance: Tolerance) -> Check:
    """Compare with the trained model on inputs that no test image is like; without a bound they need be finite only."""
    images = np.concatenate(list(edge_inputs().values()))
    logits, expected = in_batches(predict, images, tolerance.batches[0]), trained(images)
    largest = float(absolute_errors(expected, logits).max())
    problems = _excess(largest, tolerance, "on inputs at the edges")
    if not np.isfinite(logits).all():
        problems = ("some logits are not finite on inputs at the edges",)
    return Check("inputs at the edges", f"|Δlogit| ≤ {largest:.3g} on {len(images)}", problems)


def edge_inputs() -> dict[str, Images]:
    """Return inputs, float32 `[N, 1, 28, 28]` in [0, 1]: all black, all white, uniform noise, one pixel."""
    pixels = np.zeros((16, 1, 28, 28), np.float32)
    for number, (row, column) in enumerate((row, column) for row in (0, 9, 18, 27) for column in (0, 9, 18, 27)):
        pixels[number, 0, row, column] = 1
    return {
        "black": np.zeros((1, 1, 28, 28), np.float32),
        "white": np.ones((1, 1, 28, 28), np.float32),
        "noise": np.random.default_rng(0).random((8, 1, 28, 28), np.float32),
        "one pixel": pixels,
    }


def check_refusal(model: OpenModel, image: Images) -> Check:
    """See that an image with NaN or infinity is refused, and what the file by itself would make of it."""
    answered, problems = [], []
    for name, value in (("NaN", np.nan), ("+∞", np.inf), ("-∞", -np.inf)):
        bad = image[np.newaxis].copy()
        bad[0, 0, 14, 14] = value
        with contextlib.suppress(UserError):
            model.answer(bad)
            problems.append(f"{name} is not refused")
        with contextlib.suppress(ArtefactError):
            if np.isfinite(in_batches(model.predict, bad, 1)).all():
                answered.append(name)
    alone = f"alone it answers {', '.join(answered)}" if answered else "alone it gives NaN"
    return Check("NaN and infinity", f"{'let in' if problems else 'refused'}; {alone}", tuple(problems))


def _excess(largest: float, tolerance: Tolerance, where: str) -> tuple[str, ...]:
    if tolerance.max_error is None or largest <= tolerance.max_error:
        return ()
    passing = f" ({round_up(largest):.3g} would have passed)" if np.isfinite(largest) else ""
    return (f"largest |Δlogit| is {largest:.3g} {where}, allowed {tolerance.max_error:.3g}{passing}",)
