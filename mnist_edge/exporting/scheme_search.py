"""Which way to quantise: every scheme of a format is made and measured, and the best is taken."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.formats.base import ArtefactError, Format
from mnist_edge.parity.comparison import Reference, compare_logits, eager_predictor, in_batches


@dataclass(frozen=True)
class Candidate:
    """A file quantised in one of the ways, measured on the held-back images, one image at a time.

    Attributes:
        scheme: the way.
        size: in bytes.
        agreement: share of images with the trained model's top-1 answer, in [0, 1]; 0 where it can't be run.
        max_error: largest |Δlogit|; infinite where it can't be run.
        accuracy: share of images answered rightly, in [0, 1].
        refusal: why it can't be taken; empty where it can.
        chosen: whether it was.
    """

    scheme: str
    size: int
    agreement: float
    max_error: float
    accuracy: float
    refusal: str
    chosen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON types; an infinite error is null."""
        return {**asdict(self), "max_error": self.max_error if self.max_error < float("inf") else None}


def weigh(
    format: Format, files: Mapping[str, bytes], reference: Reference, max_bytes: int | None
) -> tuple[Candidate, ...]:
    """Measure each scheme's file and mark the one to take: the best agreement, then the smallest |Δlogit|, then size.

    Raises:
        UserError: none can be taken.
    """
    trained = in_batches(eager_predictor(reference.checkpoint), reference.held_back.images.numpy(), 1_000)
    measured = [_measure(format, scheme, data, reference, trained, max_bytes) for scheme, data in files.items()]
    fit = [candidate for candidate in measured if not candidate.refusal]
    if not fit:
        reasons = "; ".join(f"{candidate.scheme}: {candidate.refusal}" for candidate in measured)
        raise UserError(f"no way to quantise to {format.name} can be taken ({reasons})")
    best = min(fit, key=lambda candidate: (-candidate.agreement, candidate.max_error, candidate.size))
    return tuple(Candidate(**{**asdict(candidate), "chosen": candidate is best}) for candidate in measured)


def _measure(
    format: Format,
    scheme: str,
    data: bytes,
    reference: Reference,
    trained: NDArray[np.float32],
    max_bytes: int | None,
) -> Candidate:
    images = reference.held_back.images.numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"candidate{format.suffix}"
        path.write_bytes(data)
        try:
            loaded = format.load(path)
            logits = in_batches(loaded.predict, images, 1)
        except ArtefactError as error:
            return Candidate(scheme, len(data), 0.0, float("inf"), 0.0, str(error))
    comparison = compare_logits(logits, trained, reference.held_back.labels.numpy(), batch=1)
    reasons = list(loaded.problems)
    if max_bytes is not None and len(data) > max_bytes:
        reasons.append(f"{len(data)} bytes, allowed {max_bytes}")
    refusal = reasons[0] if reasons else ""
    return Candidate(scheme, len(data), comparison.agreement, comparison.max_error, comparison.accuracy, refusal)
