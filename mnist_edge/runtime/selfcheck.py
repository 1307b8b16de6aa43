"""The self-check: an artifact's test vectors, run by the runtime and on the processor that it is deployed on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import json_numbers
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Logits

TIMED_SECONDS = 0.05
"""How long calls are repeated to see how long one takes."""


@dataclass(frozen=True)
class SelfCheck:
    """The verdict of an artifact's test vectors on the machine it runs on: truthy when it passed.

    Attributes:
        path: the artifact.
        contract: what it carries.
        images: how many test vectors it carries.
        bound: the largest |Δlogit| allowed, from what the artifact must give.
        max_abs_diff: the largest that was found; infinite where a logit is not a finite number.
        agreement: images with the answer that the artifact must give.
        trained_max_abs_diff: the largest |Δlogit| from the trained model: how far quantization has moved the logits.
        trained_agreement: images with the trained model's answer.
        latency: seconds of a call with one image, the median of many; None where that was not asked for.
    """

    path: Path
    contract: Contract
    images: int
    bound: float
    max_abs_diff: float
    agreement: int
    trained_max_abs_diff: float
    trained_agreement: int
    latency: float | None = None

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return self.max_abs_diff <= self.bound and self.agreement == self.images

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON types; an infinite difference is null."""
        return {
            "file": str(self.path),
            "passed": bool(self),
            "precision": self.contract.precision,
            "scheme": self.contract.scheme,
            "checkpoint": self.contract.checkpoint,
            "images": self.images,
            "agreement": self.agreement,
            "trained_agreement": self.trained_agreement,
            "latency_seconds": self.latency,
            **json_numbers(
                {
                    "bound": self.bound,
                    "max_abs_diff": self.max_abs_diff,
                    "trained_max_abs_diff": self.trained_max_abs_diff,
                }
            ),
        }


def selfcheck_path(path: Path) -> SelfCheck:
    """Open an exported artifact, run its test vectors, and time calls with one of them, repeated where it takes more.

    Raises:
        UserError: it can't be used, or carries no test vectors.
    """
    with open_artifact(read_artifact(path)) as runner:
        check = selfcheck(path, runner)
        try:
            calls, _ = runner.time(runner.test_vectors.inputs, TIMED_SECONDS)
        except ArtifactError as error:
            raise _cannot_check(path, error) from error
        return replace(check, latency=float(np.median(calls)))


def _cannot_check(path: Path, error: ArtifactError) -> UserError:
    return UserError(f"cannot check {path}: {error}; expected an artifact made by `mnist-edge export`")


def selfcheck(path: Path, runner: Runner) -> SelfCheck:
    """Run the test vectors of an open artifact, one image at a time; `path` only names it.

    Raises:
        UserError: it carries no test vectors, or they can't be run.
    """
    try:
        vectors = runner.test_vectors
        logits = runner.predict_in_batches(vectors.inputs, runner.contract.batch or 1)
        if logits.shape != vectors.expected_logits.shape:
            expected = list(vectors.expected_logits.shape)
            raise ArtifactError(f"it gives logits {list(logits.shape)}, its test vectors have {expected}")
    except ArtifactError as error:
        raise _cannot_check(path, error) from error
    return SelfCheck(
        path=path,
        contract=runner.contract,
        images=len(vectors.labels),
        bound=vectors.bound,
        max_abs_diff=_largest_difference(logits, vectors.expected_logits),
        agreement=_agreement(logits, vectors.expected_logits),
        trained_max_abs_diff=_largest_difference(logits, vectors.trained_logits),
        trained_agreement=_agreement(logits, vectors.trained_logits),
    )


def _largest_difference(logits: Logits, others: Logits) -> float:
    differences = np.abs(logits.astype(np.float64) - others)
    return float(np.where(np.isfinite(differences), differences, np.inf).max())


def _agreement(logits: Logits, others: Logits) -> int:
    return int((logits.argmax(axis=1) == others.argmax(axis=1)).sum())
