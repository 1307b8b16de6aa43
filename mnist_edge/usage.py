"""What work takes: the time of each call, and memory."""

import sys
import time
from collections.abc import Callable

import numpy as np

from mnist_edge.types import AnyArray


def time_each(predict: Callable[[AnyArray], object], images: AnyArray, seconds: float) -> AnyArray:
    """Return how long each of many calls takes, in seconds, float64 `[calls]`, of which the first few are left out.

    Args:
        predict: is given one image at a time.
        images: float32 `[N, channels, height, width]`, taken in turns.
        seconds: how long to go on.
    """
    for image in images:
        predict(image[np.newaxis])
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        for image in images:
            batch = image[np.newaxis]
            start = time.perf_counter()
            predict(batch)
            found.append(time.perf_counter() - start)
    return np.array(found)


def peak_memory() -> int | None:
    """Return the most memory that this process has taken, in KiB, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak  # there in bytes (getrusage(2) of macOS)
