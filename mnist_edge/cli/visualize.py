"""How a picture was read: drawn to a file, or shown in the terminal."""

import io
from pathlib import Path

from mnist_edge.atomic import atomic_write
from mnist_edge.cli.output import note
from mnist_edge.errors import UserError
from mnist_edge.runtime.recognizer import Inspection
from mnist_edge.runtime.visualize import preview, visualize


def draw(inspection: Inspection, target: Path) -> None:
    """Draw what was seen in a picture to a PNG file; where there is no answer, remove the sheet of an earlier picture.

    Raises:
        UserError: the file can't be written or removed.
    """
    if inspection.preprocessing is not None:
        data = io.BytesIO()
        visualize(inspection).save(data, "PNG")
        atomic_write(target, data.getvalue())
    elif target.is_file():
        try:
            target.unlink()
        except OSError as error:
            raise UserError(f"cannot remove {target}, which shows another picture: {error.strerror}") from error
        note(f"{target}: removed, since it showed another picture, and there is nothing to draw")


def show_input(inspection: Inspection) -> None:
    """Show on stderr the pixels that the model was given, where it was given any."""
    if inspection.preprocessing is not None:
        for line in preview(inspection.preprocessing.tensor).split("\n"):
            note(line)
