"""How a picture was read: drawn to a file, or shown in the terminal."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mnist_edge.atomic import atomic_write
from mnist_edge.cli.output import note
from mnist_edge.errors import UserError
from mnist_edge.runtime.number import Number
from mnist_edge.runtime.number_sheet import draw_boxes
from mnist_edge.runtime.pictures import open_picture
from mnist_edge.runtime.recognizer import Inspection
from mnist_edge.runtime.visualize import preview, visualize

if TYPE_CHECKING:
    from mnist_edge.runtime.parallel import FileSource


def draw(inspection: Inspection, target: Path) -> None:
    """Draw what was seen in a picture to a PNG or JPEG file, by its suffix; without an answer, remove an earlier sheet.

    Raises:
        UserError: the file can't be written or removed.
    """
    _write(None if inspection.preprocessing is None else visualize(inspection), target)


def draw_number(picture: "FileSource", number: Number, target: Path) -> None:
    """Draw a box around each digit of a number in its picture, to a file, as `draw` does; raises as it does."""
    _write(draw_boxes(open_picture(picture), number) if number.digits else None, target)


def _write(sheet: Image.Image | None, target: Path) -> None:
    if sheet is not None:
        atomic_write(target, _encoded(sheet, target.suffix))
    elif target.is_file():
        try:
            target.unlink()
        except OSError as error:
            raise UserError(f"cannot remove {target}, which shows another picture: {error.strerror}") from error
        note(f"{target}: removed, since it showed another picture, and there is nothing to draw")


def _encoded(sheet: Image.Image, suffix: str) -> bytes:
    """Return a picture file by which `mnist_edge.cli.outputs.SHEET` knows that mnist-edge wrote it."""
    data = io.BytesIO()
    if suffix == ".png":
        text = PngInfo()
        text.add_text("Software", "mnist-edge")
        sheet.save(data, "PNG", pnginfo=text)
    else:
        sheet.save(data, "JPEG", quality=95, comment=b"mnist-edge")
    return data.getvalue()


def show_input(inspection: Inspection) -> None:
    """Show on stderr the pixels that the model was given, where it was given any."""
    if inspection.preprocessing is not None:
        for line in preview(inspection.preprocessing.tensor).split("\n"):
            note(line)
