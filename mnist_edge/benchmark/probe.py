"""A process that opens one artifact, answers one image, says so, and then measures itself: what `costs` starts.

    python -m mnist_edge.benchmark.probe FILE SECONDS

It prints a line when the first answer is there, and then one line of JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from mnist_edge.errors import UserError
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.usage import peak_memory

READY = "ready"
"""The first line."""

_STATUS = Path("/proc/self/status")
"""Where Linux says what this process has taken since it was started, and not what its parent had."""

_MANY = 1_000
"""Images that are given at once where throughput is measured."""


def main(path: str, seconds: float) -> None:
    """Measure an artifact; raises `UserError` where it can't be used."""
    artifact = read_artifact(Path(path))
    with open_artifact(artifact) as runner:
        images = runner.test_vectors.inputs
        runner.predict_in_batches(images[:1], runner.contract.batch or 1)
        _say(READY)
        calls, apart = runner.time(images, seconds)
        here = _peak_memory()
        scheme = artifact.spec.scheme(runner.contract.scheme)
        batch = artifact.spec.batches(scheme)[-1] if scheme else 1
        many = np.tile(images, (-(-_MANY // len(images)), 1, 1, 1))[:_MANY]
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            runner.predict_in_batches(many, batch)
            rates.append(len(many) / (time.perf_counter() - start))
    _say(
        json.dumps(
            {
                "median": float(np.median(calls)),
                "p99": float(np.quantile(calls, 0.99)),
                "calls": len(calls),
                "images_per_second": max(rates),
                "batch": batch,
                "peak_kib": None if here is None or apart is None else here + apart,
            }
        )
    )


def _peak_memory() -> int | None:
    """Return the most memory that this process has taken, in KiB, or None where the system does not say."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return peak_memory()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), peak_memory())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]))
    except UserError as error:
        sys.exit(str(error))
