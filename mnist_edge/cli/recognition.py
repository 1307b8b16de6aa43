"""What `mnist-edge predict` does with each picture: one digit or a number, by one process or several, drawn or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.runtime.number import Number
    from mnist_edge.runtime.parallel import FileSource
    from mnist_edge.runtime.prediction import Prediction
    from mnist_edge.runtime.recognizer import Inspection, Recognizer


def answers(
    recognizer: "Recognizer", pictures: "Iterator[FileSource]", jobs: int, sheet: Path | None, show_input: bool
) -> "Iterator[Prediction]":
    """Return the answers in order, each computed when it is asked for; draw and show what was seen if that is wanted.

    Raises:
        UserError: the sheet can't be written.
    """
    if sheet or show_input:
        return _inspected(recognizer, pictures, sheet, show_input)
    if jobs == 1:
        return recognizer.stream(pictures)
    from mnist_edge.runtime.parallel import predict, stream

    return stream(recognizer, pictures, jobs, predict)


def numbers(
    recognizer: "Recognizer", pictures: "Iterator[FileSource]", jobs: int, sheet: Path | None
) -> "Iterator[Number]":
    """Return the numbers in order, each read when it is asked for; draw the one picture that a sheet is for.

    Raises:
        UserError: the sheet can't be written.
    """
    if sheet:
        from mnist_edge.cli.visualize import draw_number

        picture = next(pictures)
        number = recognizer.read(picture)
        draw_number(picture, number, sheet)
        return iter([number])
    if jobs == 1:
        return map(recognizer.read, pictures)
    from mnist_edge.runtime.parallel import read, stream

    return stream(recognizer, pictures, jobs, read)


def _inspected(
    recognizer: "Recognizer", pictures: "Iterator[FileSource]", sheet: Path | None, show_input: bool
) -> "Iterator[Prediction]":
    """Draw one picture to the sheet, and yield answers, each after what the model was given was shown on stderr."""
    from mnist_edge.cli import visualize

    inspections: Iterator[Inspection] = map(recognizer.inspect, pictures)
    if sheet:
        drawn = next(inspections)
        visualize.draw(drawn, sheet)
        inspections = iter([drawn])

    def every() -> "Iterator[Prediction]":
        for inspection in inspections:
            if show_input:
                visualize.show_input(inspection)
            yield inspection.prediction

    return every()
