"""Out-of-distribution scores: a model answers anything with one of its labels; its logits show how far to believe it.

An answer is relied on where both scores reach their thresholds, which are fitted on images that the model was not
trained on. The energy ranks what is not a digit lower, the margin digits that are answered wrongly. With both
thresholds at the same quantile of known digits, it is the lower of an answer's two ranks that counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Generator, nn

from mnist_edge.artifact.fields import expect_fields, take_number
from mnist_edge.errors import UserError
from mnist_edge.training.augment import Augmentation, augment
from mnist_edge.training.datasets.splits import Split
from mnist_edge.training.loop import predict_logits

REJECTION_RATE = 0.02
"""Share of the validation images, distorted as pictures are, that miss a threshold; of clean ones fewer do."""

PICTURE_STRENGTH = 0.5
"""Strength of the recipe's augmentation at which the validation images are about as hard to read as pictures."""

MAX_THRESHOLD = 1e6
"""The greatest threshold that a checkpoint may have."""

_LOG_SOFTMAX_ATOL = 1e-4
"""By how much rounding to float32 may move the energy of log-probabilities from 0."""


@dataclass(frozen=True)
class Thresholds:
    """The scores that an answer must have, both at least 0.

    Attributes:
        energy: of `energy_scores`; 0 where it is not asked for.
        margin: of `margin_scores`.
    """

    energy: float
    margin: float

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Thresholds":
        """Read what `dataclasses.asdict` gave.

        Raises:
            ValueError: something is missing, of another type, or out of range.
        """
        expect_fields(cls.__dataclass_fields__, fields)
        return cls(take_number(fields, "energy", 0, MAX_THRESHOLD), take_number(fields, "margin", 0, MAX_THRESHOLD))


def energy_scores(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return log Σ exp(logit / temperature) of each row: the higher, the more the image is like those that are known.

    It is -E / temperature, where E is the free energy of Liu, Wang, Owens and Li: *Energy-based Out-of-distribution
    Detection* (2020). `logits` are float32 `[N, labels]`, the result is `[N]`.
    """
    scores: NDArray[np.float64] = logsumexp(logits.astype(np.float64) / temperature, axis=1)
    return scores


def margin_scores(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the difference of the two greatest logits over the temperature: the log odds of the best two labels.

    `logits` are float32 `[N, labels]`, the result is `[N]`.
    """
    ordered = np.sort(logits.astype(np.float64), axis=1)
    return (ordered[:, -1] - ordered[:, -2]) / temperature


def fit_thresholds(model: nn.Module, validation: Split, by: Augmentation, temperature: float) -> Thresholds:
    """Return the thresholds that `REJECTION_RATE` of the validation images miss, distorted as pictures are.

    `by` is the augmentation of the model's recipe, of which `PICTURE_STRENGTH` is applied; without one the images stay
    as they are.

    Raises:
        UserError: as `thresholds_of`.
    """
    distorted = augment(validation.images, validation.labels, by.times(PICTURE_STRENGTH), Generator().manual_seed(0))
    return thresholds_of(predict_logits(model, distorted).numpy(), temperature)


def thresholds_of(logits: NDArray[np.float32], temperature: float) -> Thresholds:
    """Return the thresholds that `REJECTION_RATE` of these logits, `[N, labels]`, miss.

    A network that ends in `log_softmax` gives every image the same energy, from which nothing can be seen: its answers
    are judged by their margin alone.

    Raises:
        UserError: the logits are so great that a threshold is above `MAX_THRESHOLD`.
    """
    margins = margin_scores(logits, temperature)
    if np.abs(energy_scores(logits)).max() <= _LOG_SOFTMAX_ATOL:
        return Thresholds(0.0, choose_thresholds(margins, margins, REJECTION_RATE).margin)
    return choose_thresholds(energy_scores(logits, temperature), margins, REJECTION_RATE)


def choose_thresholds(energies: NDArray[np.float64], margins: NDArray[np.float64], rate: float) -> Thresholds:
    """Return the highest quantile that both scores have in common with at most `rate` of the images below either.

    The scores are `[N]`. Both thresholds are from 0, to three decimals downwards.

    Raises:
        UserError: one is above `MAX_THRESHOLD`.
    """
    ranks = np.minimum(*(scores.argsort(kind="stable").argsort(kind="stable") for scores in (energies, margins)))
    rank = int(np.sort(ranks)[int(rate * len(ranks))])  # fewer than that have a lower rank in either
    energy, margin = (max(0.0, float(np.floor(np.sort(scores)[rank] * 1e3) / 1e3)) for scores in (energies, margins))
    if max(energy, margin) > MAX_THRESHOLD:
        raise UserError(
            f"the logits are too great to judge answers by: a threshold of {max(energy, margin):.3g}, expected at most "
            f"{MAX_THRESHOLD:,.0f}; divide them by a constant in the network's last layer"
        )
    return Thresholds(energy, margin)
