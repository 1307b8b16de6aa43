"""An artifact that is open in its own runtime: what the module `runner` of a format gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.figures import Figures
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY, TestVectors
from mnist_edge.errors import ArtifactError
from mnist_edge.types import AnyArray, Images, Logits, Predict, PredictInBatches
from mnist_edge.usage import time_each


class RunnerModule(Protocol):
    """The module `runner` of a format; on a device it needs the format's runtime alone."""

    def open_runner(self, bundle: Bundle) -> "Runner":
        """Open an artifact; raises `ArtifactError` where that can't be done."""
        ...


@dataclass(frozen=True)
class Runner:
    """An artifact, open in its own runtime; a context manager.

    Attributes:
        contract: what the artifact says of itself.
        metadata: what it carries, by key.
        predict: images → logits, none for no images; raises `ArtifactError` where the artifact does not take a batch.
        mismatches: a line for each way in which its inputs and outputs are not as its contract says, as far as the
            runtime shows.
        close: lets go of files, sessions, child processes.
        predict_batches: images, batch size → logits, where that is quicker than a call of `predict` for each batch; it
            raises as `predict_in_batches`.
        figures: what it says of its own answers to the test images, if it does.
        time_calls: images, seconds → how long each of many calls with one of them takes, in seconds, and the most
            memory that was taken there, in KiB, where artifacts run in a process of their own.
    """

    contract: Contract
    metadata: Mapping[str, str]
    predict: Predict
    mismatches: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None
    predict_batches: PredictInBatches | None = None
    figures: Figures | None = None
    time_calls: Callable[[Images, float], tuple[AnyArray, int | None]] | None = None

    def __post_init__(self) -> None:
        """Let `predict` answer no images without the runtime: some give what are not logits, others end in an error."""
        predict = self.predict
        object.__setattr__(self, "predict", lambda images: predict(images) if len(images) else self._no_logits())

    def _no_logits(self) -> Logits:
        """Return the logits, float32 `[0, classes]`, of no images."""
        return np.zeros((0, len(self.contract.task.labels)), np.float32)

    @cached_property
    def test_vectors(self) -> TestVectors:
        """The images that it carries, with the logits they must give; raises `TestVectorsError` where it has none."""
        return TestVectors.from_json(self.metadata.get(TEST_VECTORS_KEY), self.contract.task)

    def predict_in_batches(self, images: Images, batch: int) -> Logits:
        """Return the logits of images given in batches of `batch`, one for each label of the contract.

        Raises:
            ArtifactError: as `predict_in_batches`, or there are more or fewer logits than labels.
        """
        if not len(images):
            return self._no_logits()
        if self.predict_batches is not None:
            logits = self.predict_batches(images, batch)
        else:
            logits = predict_in_batches(self.predict, images, batch, pad=self.contract.batch is not None)
        if logits.shape[1] != len(self.contract.task.labels):
            raise ArtifactError(f"it gives {logits.shape[1]} logits for {len(self.contract.task.labels)} labels")
        return logits

    def time(self, images: Images, seconds: float) -> tuple[AnyArray, int | None]:
        """Return how long calls with one image take, and the most memory of the sandbox that runs it.

        The image is repeated where the artifact takes more than one; such an artifact is timed from this process.

        Args:
            images: float32 `[N, channels, height, width]`, taken in turns.
            seconds: how long to go on.

        Returns:
            Seconds, float64 `[calls]`; and KiB, 0 where it runs in this process, None where that is not known.

        Raises:
            ArtifactError: a call fails.
        """
        batch = self.contract.batch
        if self.time_calls is not None and batch in (None, 1):
            return self.time_calls(images, seconds)
        apart = 0 if self.time_calls is None else None
        return time_each(at_batch_one(self.predict, batch), images, seconds), apart

    def __enter__(self) -> Self:
        """Return the runner."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def check_shape(images: Images, shape: tuple[int, ...]) -> None:
    """Return if images are of this shape, `[channels, height, width]`; raises `ArtifactError` where not."""
    if images.shape[1:] != shape:
        raise ArtifactError(f"it takes images of shape {list(shape)}, not {list(images.shape[1:])}")


def at_batch_one(predict: Predict, batch: int | None) -> Predict:
    """Return a function that takes one image, for an artifact that takes `batch` of them, or any number."""
    if batch is None or batch == 1:
        return predict
    return lambda images: predict(np.repeat(images, batch, axis=0))[:1]


def predict_in_batches(predict: Predict, images: Images, batch: int, *, pad: bool = False) -> Logits:
    """Return the logits, float32 `[N, classes]`, of images given to `predict` in batches of `batch`.

    The last batch may be smaller, or, with `pad`, is filled up with black images, whose logits are dropped.

    Raises:
        ArtifactError: the output is not of the shape or type of logits.
    """
    results = []
    for start in range(0, max(1, len(images)), batch):
        chunk = images[start : start + batch]
        count = len(chunk)
        if pad and count < batch:
            chunk = np.concatenate([chunk, np.zeros((batch - count, *chunk.shape[1:]), np.float32)])
        logits = predict(chunk)
        if logits.ndim != 2 or len(logits) != len(chunk) or logits.dtype != np.float32:
            raise ArtifactError(
                f"a batch of {len(chunk)} images gives {logits.dtype} {list(logits.shape)}, "
                f"expected float32 [{len(chunk)}, classes]"
            )
        results.append(logits[:count])
    return np.concatenate(results)
