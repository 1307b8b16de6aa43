"""The energy score that an answer must have: fitted on images that the model was not trained on."""

import numpy as np
from numpy.typing import NDArray

from mnist_edge.runtime.ood import energy_score

REJECTION_RATE = 0.01
"""Share of the validation images below the threshold; of the test images, which are harder, more are."""


def fit_energy_threshold(logits: NDArray[np.float64], temperature: float) -> float:
    """Return the energy score that all but `REJECTION_RATE` of the validation images reach, from 0, to three decimals.

    Args:
        logits: of the trained model for the validation images, `[N, classes]`, in double precision so that they are
            the same on every machine.
        temperature: of the model.
    """
    scores = np.array([energy_score(row, temperature) for row in logits])
    return max(0.0, round(float(np.quantile(scores, REJECTION_RATE)), 3))
