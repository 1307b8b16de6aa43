"""What the module `browser` of a format gives: an artifact, open in a real browser."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.types import Images, Logits


@dataclass(frozen=True)
class BrowserAnswer:
    """What a page says of a picture.

    Attributes:
        status: as `mnist_edge.runtime.prediction.Status` has them.
        label: of the answer, or None without one.
        confidence: probability of the label, in [0, 1], or None without one.
    """

    status: str
    label: str | None
    confidence: float | None


class OpenPage(Protocol):
    """An artifact in a browser; what it is asked raises `ArtifactError` where the page fails at it."""

    @property
    def browser(self) -> str:
        """Name and version of the browser."""
        ...

    @property
    def incidents(self) -> tuple[str, ...]:
        """A line for each error, message on the console, or request to a server since it was opened."""
        ...

    def predict(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`, of images, float32 `[N, channels, height, width]`."""
        ...

    def read(self, pictures: Sequence[bytes]) -> list[BrowserAnswer]:
        """Return the answers to pictures, which are PNG files."""
        ...

    def failing_test_vectors(self) -> int:
        """Press the button that proves the page, and return how many test vectors are not shown as passed."""
        ...


class BrowserModule(Protocol):
    """The module `browser` of a format whose artifacts are pages; it runs on the build machine."""

    def open_page(self, bundle: Bundle, program: Path | None = None) -> AbstractContextManager[OpenPage]:
        """Open an artifact.

        Args:
            bundle: the artifact.
            program: the browser, or None for one on the PATH.

        Raises:
            ArtifactError: the page does not get ready.
            UserError: there is no browser, or a package that this needs is not installed.
        """
        ...
