"""Choosing the test vectors of a checkpoint, and judging those that an artifact carries."""

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import FLOAT32, Scheme
from mnist_edge.parity.checks import Check
from mnist_edge.parity.logits import label_margin, largest_logit
from mnist_edge.runtime.selfcheck import selfcheck
from mnist_edge.training.architectures.own import OwnNetwork
from mnist_edge.training.datasets.splits import Split

TYPICAL_PER_CLASS = 2
"""Images of each class whose margin is nearest to the class's median."""

MAX_IMAGES, MAX_IMAGE_BYTES = 100, 1 << 19
"""Most images, and most bytes of them; with many labels, some have none."""

HARDEST = 5
"""Images with the smallest margins of all."""

_SAME_ATOL = 1e-5
"""Logits of double precision, rounded to 1e-6, are the same within this."""


def choose_test_vectors(images: Split, logits: NDArray[np.float64], first: int) -> TestVectors:
    """Return the test vectors of a model, chosen from images that it was not tested on.

    Args:
        images: the images with their labels.
        logits: `exact_logits` of the model for them, `[N, classes]`: double precision makes the choice and the logits
            the same on every machine.
        first: index of the first of them in the data set's training images.
    """
    labels = images.labels.numpy()
    margins = label_margin(logits, labels).round(6)
    most = max(1, min(MAX_IMAGES, MAX_IMAGE_BYTES // images.images[0].numel()) - HARDEST)
    classes = np.unique(labels)
    shown = classes[np.linspace(0, len(classes) - 1, min(most, len(classes))).astype(np.intp)]
    each = max(1, min(TYPICAL_PER_CLASS, most // len(shown)))
    chosen = [index for label in shown for index in _typical(margins, np.flatnonzero(labels == label), each)]
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    chosen += others[np.argsort(np.abs(margins[others]), kind="stable")[:HARDEST]].tolist()
    rounded = logits[chosen].round(6).astype(np.float32)
    return TestVectors(
        indices=tuple(first + index for index in chosen),
        labels=tuple(int(labels[index]) for index in chosen),
        images=(images.images[chosen] * 255).round().to(torch.uint8).numpy(),
        trained_logits=rounded,
        expected_logits=rounded,
        bound=FLOAT32.device_bound,
    )


def exact_logits(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Return the logits, float64 `[N, classes]`, of images, float32, computed in double precision.

    A network of the user's own whose code names a precision, as `x.float()` does, is computed in that.
    """
    precise = copy.deepcopy(model).double()
    try:
        return _logits(precise, images.double())
    except RuntimeError:  # of operands of two precisions
        if not isinstance(model, OwnNetwork):
            raise
        return _logits(model, images)


def _logits(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        logits: NDArray[np.float64] = torch.cat([model(batch) for batch in torch.split(images, 500)]).double().numpy()
    return logits


def _typical(margins: NDArray[np.float64], of: NDArray[np.intp], count: int) -> list[int]:
    """Return so many of these images, at least one: those whose margins are nearest to their median."""
    middle = np.sort(margins[of])[len(of) // 2]
    order = np.argsort(np.abs(margins[of] - middle), kind="stable")
    return [int(index) for index in of[order[:count]]]


def test_vector_problems(carried: TestVectors, chosen: TestVectors, scheme: Scheme) -> tuple[str, ...]:
    """Return a line for each way in which an artifact's test vectors are not those of its checkpoint.

    Args:
        carried: what the artifact carries.
        chosen: what `choose_test_vectors` gives for the checkpoint.
        scheme: of the artifact.
    """
    same_images = carried.indices == chosen.indices and carried.labels == chosen.labels
    if not same_images or not np.array_equal(carried.images, chosen.images):
        return ("its test vectors are of other images than its checkpoint's: export again",)
    off = float(np.abs(carried.trained_logits.astype(np.float64) - chosen.trained_logits).max())
    if not off <= _SAME_ATOL:
        return (f"its test vectors are stale: off by {off:.3g} from the trained model's logits; export again",)
    bound = scheme.bound_for(largest_logit(chosen.trained_logits))
    if carried.bound != bound:
        return (f"its test vectors allow {carried.bound:g}, expected {bound:g}: export again",)
    return ()


def check_selfcheck(path: Path, runner: Runner) -> Check:
    """Return the check that an open artifact gives what its own test vectors expect, as a device checks it."""
    code, title = "selfcheck", "self-check"
    try:
        found = selfcheck(path, runner)
    except UserError as error:
        return Check(code, title, "cannot be run", (str(error),))
    off, other = found.max_abs_diff, found.images - found.agreement
    problems = []
    if not off <= found.bound:
        problems.append(
            f"it gives logits up to {off:.3g} off those that its own test vectors expect, at most {found.bound:g} is "
            "allowed: they or the file were altered, or this machine computes otherwise than the one that exported it; "
            "run `mnist-edge selfcheck` on that one, and where it fails there too, export again"
        )
    if other:
        problems.append(f"it answers {other} of its own {found.images} test vectors otherwise than they expect")
    return Check(
        code=code,
        title=title,
        found=f"|Δlogit| ≤ {off:.3g}, {found.agreement} of {found.images} answers",
        problems=tuple(problems),
        figures={"max_abs_diff": off, "agreement": found.agreement, "images": found.images},
    )
