"""How a picture was read: drawn to a file, or shown in the terminal."""

import io
from pathlib import Path

import click

from mnist_edge.atomic import atomic_write
from mnist_edge.runtime.visualize import explain, preview
from mnist_edge.preprocessing.mnist_v2.pipeline import NoDigitError, PictureError, prepare
from mnist_edge.runtime.parallel import Item
from mnist_edge.runtime.recognizer import Recognizer, open_picture


def draw(recognizer: Recognizer, picture: Item, target: Path) -> None:
    """Draw the steps of reading a picture to a PNG file; none where there is no answer.

    Raises:
        UserError: the file can't be written.
    """
    data = io.BytesIO()
    try:
        opened = open_picture(picture)
        explain(opened, recognizer.predict(opened)).save(data, "PNG")
    except (PictureError, NoDigitError):
        return  # its answer says why
    atomic_write(target, data.getvalue())


def show(picture: Item) -> None:
    """Show on stderr the 28×28 pixels that the model sees of a picture, where it sees any."""
    try:
        click.echo(preview(prepare(open_picture(picture))), err=True)
    except (PictureError, NoDigitError):
        return  # its answer says why
