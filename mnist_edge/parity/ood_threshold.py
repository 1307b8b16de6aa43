"""How much evidence of a digit an answer must have: calibrated on digits that the model was not trained on."""

import numpy as np
from numpy.typing import NDArray

from mnist_edge.runtime.ood import evidence

FALSE_ALARMS = 0.01
"""Share of the held-back digits that are called uncertain; of the test images, which are harder, more are."""


def calibrated_certainty(logits: NDArray[np.float64], temperature: float) -> float:
    """Return the evidence that all but `FALSE_ALARMS` of the held-back digits have, at least 0, to three decimals.

    Args:
        logits: of the trained model for the held-back images, `[N, 10]`, in double precision so that they are the same
            on every machine.
        temperature: of the model.
    """
    evidences = np.array([evidence(row, temperature) for row in logits])
    return max(0.0, round(float(np.quantile(evidences, FALSE_ALARMS)), 3))
