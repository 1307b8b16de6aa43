"""The guard around Pillow: whatever it raises over a picture is an error of that picture.

Pillow's parsers raise almost anything over damaged files: besides `OSError`, `SyntaxError` and `ValueError` also
`AssertionError`, `TypeError`, `AttributeError` or `RuntimeError`, and each version others. So the guard takes every
`Exception`, and in return stands around calls of Pillow alone: an error in code of our own keeps its traceback.
"""

from types import TracebackType

from PIL import Image

from mnist_edge.errors import MnistEdgeError, PictureError

TOO_MUCH_MEMORY = "it needs too much memory"
"""What is reported of a picture for which there is no memory."""


class _PillowGuard:
    """A context that turns what Pillow raises into `PictureError`; a class, since a generator takes longer."""

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the error of the picture.

        Raises:
            PictureError: Pillow raised something, other than what ends the program.
        """
        if error is None or isinstance(error, MnistEdgeError) or not isinstance(error, Exception):
            return
        if isinstance(error, (MemoryError, Image.DecompressionBombError)):
            raise PictureError(TOO_MUCH_MEMORY) from error
        raise damaged(_reason(error)) from error


PILLOW_GUARD = _PillowGuard()
"""To be entered around calls of Pillow, by any number of threads."""


def damaged(reason: str) -> PictureError:
    """Return the error for a damaged picture."""
    return PictureError(f"the picture is damaged ({reason})")


def _reason(error: Exception) -> str:
    """Return the first line of an error's message, in which file names and bytes of the file are escaped."""
    lines = str(error).splitlines()
    return lines[0].encode("ascii", "backslashreplace").decode() if lines else type(error).__name__
