"""Numbers as lines on stdout: a table for people, JSON and CSV for programs, or the text alone."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from mnist_edge.cli.formatters import COLORS, MAX_NAME_WIDTH, STDIN, Layout, as_csv
from mnist_edge.cli.output import styled
from mnist_edge.runtime.number import Number
from mnist_edge.runtime.prediction import Status
from mnist_edge.text import printable

EDGES = ("left", "top", "right", "bottom")
"""Of the box around a digit, in pixels."""

NumberFormatter = Callable[[Iterable[Number], Layout], Iterator[str]]
"""Numbers and layout → lines, in which what came from files and their names is printable."""


def _name(number: Number) -> str:
    return STDIN if number.path is None else printable(number.path)


def table(numbers: Iterable[Number], layout: Layout) -> Iterator[str]:
    """Yield a header, and a row for each line of digits; what is said of the whole is in the first."""
    width = min(max(layout.name_width, len("picture")), MAX_NAME_WIDTH)
    colored = styled(sys.stdout)
    yield f"{'picture':<{width}}  confidence  number"
    for number in numbers:
        for row, line in enumerate(_rows(number)):
            name = _name(number) if row == 0 else ""
            yield f"{name:<{width}}  " + (click.style(line, fg=COLORS[number.status]) if colored else line)


def _rows(number: Number) -> list[str]:
    """Return what a picture's rows say of it."""
    if number.text is None or number.confidence is None:
        return [f"{'–':>10}  {number.status.replace('_', ' ')}"]
    first, *others = printable_lines(number.text)
    mark = "" if number.status is Status.OK else f"  {number.status.value}"
    return [f"{number.confidence:>10.1%}  {first}{mark}", *(f"{'':>10}  {line}" for line in others)]


def printable_lines(text: str) -> list[str]:
    """Return the lines of a number's text, each without what would steer a terminal."""
    return [printable(line) for line in text.split("\n")]


def json_list(numbers: Iterable[Number], _: Layout) -> Iterator[str]:
    """Yield one list of objects."""
    yield json.dumps([_object(number) for number in numbers], indent=2, allow_nan=False)


def json_lines(numbers: Iterable[Number], _: Layout) -> Iterator[str]:
    """Yield an object for each picture."""
    for number in numbers:
        yield json.dumps(_object(number), allow_nan=False)


def _object(number: Number) -> dict[str, Any]:
    return number.to_json() | {"path": STDIN if number.path is None else number.path}


def csv_rows(numbers: Iterable[Number], _: Layout) -> Iterator[str]:
    """Yield a header, and a row for each digit, or one for a picture without an answer."""
    yield as_csv(["path", "status", "text", "confidence", "model", "line", "label", "digit_confidence", *EDGES])
    for number in numbers:
        text = None if number.text is None else " / ".join(printable_lines(number.text))
        about = [_name(number), number.status.value, text, number.confidence, printable(number.model)]
        for digit in number.digits:
            yield as_csv([*about, digit.line, printable(digit.label), digit.confidence, *digit.box])
        if not number.digits:
            yield as_csv([*about, *[None] * 7])


def texts(numbers: Iterable[Number], _: Layout) -> Iterator[str]:
    """Yield a line with the text of each picture, its lines joined by ` / `, or `-` where there is none."""
    for number in numbers:
        yield "-" if number.text is None else " / ".join(printable_lines(number.text))


NUMBER_FORMATTERS: dict[str, NumberFormatter] = {
    "table": table,
    "json": json_list,
    "jsonl": json_lines,
    "csv": csv_rows,
    "digits": texts,
}
"""The values of `--format` with `--number`."""
