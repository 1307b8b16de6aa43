"""The answers of an artifact that is open in a sandbox."""

from collections.abc import Mapping
from functools import partial

from mnist_edge.artifact.contract import Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner, predict_in_batches
from mnist_edge.sandbox.client import TIMED_CALL, Session
from mnist_edge.types import AnyArray, Images, Logits

CALL_IMAGES = 1_000
"""Most images of a call, unless a batch has more."""


def sandboxed_runner(
    session: Session, contract: Contract, metadata: Mapping[str, str], mismatches: tuple[str, ...] = ()
) -> Runner:
    """Return the runner of an artifact that is open in a session."""
    return Runner(
        contract,
        metadata,
        partial(predict, session),
        mismatches,
        session.close,
        partial(predict_batches, session),
        time_calls=partial(time_calls, session),
    )


def predict(session: Session, images: Images) -> Logits:
    """Return the logits that a session's call `predict` gives for images; raises `ArtifactError` where it fails."""
    return _predict(session, images, max(1, len(images)))


def predict_batches(session: Session, images: Images, batch: int) -> Logits:
    """Return the same for images in batches, of which a call takes many: a message costs more than a batch of one.

    Raises:
        ArtifactError: it fails, or gives what are not logits.
    """
    together = max(1, CALL_IMAGES // batch) * batch
    return predict_in_batches(lambda part: _predict(session, part, batch), images, together)


def _predict(session: Session, images: Images, batch: int) -> Logits:
    _, arrays = session.call("predict", {"batch": batch}, {"images": images})
    if "logits" not in arrays:
        raise ArtifactError("it gives no logits")
    return arrays["logits"]


def time_calls(session: Session, images: Images, seconds: float) -> tuple[AnyArray, int | None]:
    """Return how long calls with one image take where the artifact runs, and the memory there; see `Runner.time_calls`.

    Raises:
        ArtifactError: one fails.
    """
    found, arrays = session.call(TIMED_CALL, {"seconds": seconds}, {"images": images})
    peak = found.get("peak")
    return arrays["seconds"], int(peak) if peak is not None else None
