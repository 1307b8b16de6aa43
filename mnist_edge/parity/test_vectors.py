"""Choose the golden vectors of a checkpoint, and judge those that a file carries."""

import copy
import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge.artifact.test_vectors import Golden
from mnist_edge.training.datasets.mnist import Split

TYPICAL = 2
"""Images of each class whose margin is nearest to the class's median."""

HARD = 5
"""Images with the smallest margins of all."""

BOUNDS = {"none": 1e-4, "weight-only-s8": 1e-4, "weight-only-s8-channel": 1e-4}
"""The largest |Δlogit| that another processor may show, for schemes that compute in float: the sums' order differs."""

DYNAMIC_BOUND = 0.15
"""The same for schemes that quantise activations: a value that lies on the edge between two steps may be rounded to the
other one where a sum differs in its last digit, which moves a logit by a step times the weights behind it: in the
built-in MLP by up to 0.10.
"""

_SAME = 1e-5
"""Logits of double precision, rounded to 1e-6, are the same within this."""


def bound_of(scheme: str) -> float:
    """Return the largest |Δlogit| between processors for a scheme of quantisation."""
    return BOUNDS.get(scheme, DYNAMIC_BOUND)


def choose_golden(images: Split, logits: NDArray[np.float64], first: int) -> Golden:
    """Return the golden vectors of a model, chosen from images that it was not tested on.

    Args:
        images: the images with their labels.
        logits: `exact_logits` of the model for them, `[N, 10]`: double precision makes the choice and the logits the
            same on every machine.
        first: index of the first of them in MNIST's training set.
    """
    labels = images.labels.numpy()
    margins = margin(logits, labels).round(6)
    chosen = [index for digit in range(10) for index in _typical(margins, np.flatnonzero(labels == digit))]
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    chosen += others[np.argsort(np.abs(margins[others]), kind="stable")[:HARD]].tolist()
    rounded = logits[chosen].round(6).astype(np.float32)
    return Golden(
        indices=tuple(first + index for index in chosen),
        labels=tuple(int(labels[index]) for index in chosen),
        images=(images.images[chosen] * 255).round().to(torch.uint8).numpy(),
        logits=rounded,
        expected=rounded,
        bound=bound_of("none"),
    )


def exact_logits(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Return the logits, float64 `[N, 10]`, of images, float32 `[N, 1, 28, 28]`, computed in double precision."""
    precise = copy.deepcopy(model).double()
    with torch.inference_mode():
        parts = [precise(batch.double()) for batch in torch.split(images, 500)]
    logits: NDArray[np.float64] = torch.cat(parts).numpy()
    return logits


def margin(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by how much the logit of the label is above the greatest other one, `[N]`; negative where that wins."""
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    result: NDArray[np.float64] = own - others.max(axis=1)
    return result


def _typical(margins: NDArray[np.float64], of: NDArray[np.intp]) -> list[int]:
    """Return the images whose margin is the median of these, and the nearest to it."""
    middle = np.sort(margins[of])[len(of) // 2]
    order = np.argsort(np.abs(margins[of] - middle), kind="stable")
    return [int(index) for index in of[order[:TYPICAL]]]


def golden_problems(golden: Golden, chosen: Golden, scheme: str) -> list[str]:
    """Return a line for each way in which a file's golden vectors are not those of its checkpoint.

    Args:
        golden: what the file carries.
        chosen: what `choose_golden` gives for the checkpoint.
        scheme: of the file's quantisation.
    """
    same_images = golden.indices == chosen.indices and golden.labels == chosen.labels
    if not same_images or not np.array_equal(golden.images, chosen.images):
        return ["its golden vectors are of other images than its checkpoint's: export again"]
    error = float(np.abs(golden.logits.astype(np.float64) - chosen.logits).max())
    if not error <= _SAME:
        return [f"its golden vectors are stale: off by {error:.3g} from the trained model's logits; export again"]
    if golden.bound != bound_of(scheme):
        return [f"its golden vectors allow {golden.bound:g}, expected {bound_of(scheme):g}: export again"]
    return []


def with_expected(golden: Golden, expected: NDArray[np.float32], scheme: str) -> Golden:
    """Return the golden vectors of a file that gives `expected`, float32 `[N, 10]`, under a scheme."""
    return dataclasses.replace(golden, expected=expected, bound=bound_of(scheme))
