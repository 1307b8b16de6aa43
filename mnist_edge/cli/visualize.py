"""How a picture was read: drawn to a file, or shown in the terminal."""

import io
from pathlib import Path

import click

from mnist_edge.atomic import atomic_write
from mnist_edge.runtime.recognizer import Inspection
from mnist_edge.runtime.visualize import preview, visualize


def draw(inspection: Inspection, target: Path) -> None:
    """Draw what was seen in a picture to a PNG file; nothing where there is no answer, whose message says why.

    Raises:
        UserError: the file can't be written.
    """
    if inspection.preprocessing is not None:
        data = io.BytesIO()
        visualize(inspection).save(data, "PNG")
        atomic_write(target, data.getvalue())


def show_input(inspection: Inspection) -> None:
    """Show on stderr the pixels that the model was given, where it was given any."""
    if inspection.preprocessing is not None:
        click.echo(preview(inspection.preprocessing.tensor), err=True)
