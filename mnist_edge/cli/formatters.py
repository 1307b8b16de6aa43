"""Answers as lines on stdout: a table for people, JSON and CSV for programs, or digits alone."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from mnist_edge.cli.inputs import shown
from mnist_edge.runtime.prediction import Prediction, Status

STDIN = "-"
"""The name of a picture that came on standard input."""

Form = Callable[[Iterable[Prediction], int, int], Iterator[str]]
"""Answers, how many digits of each to tell, and the width of the longest name → lines."""

NAME_WIDTH = 60
"""Columns that a name takes at most; a longer one pushes its own row to the right."""

BAR = 20
"""Columns of a full bar."""

COLOURS = {Status.OK: "green", Status.UNCERTAIN: "yellow", Status.NO_DIGIT: "red", Status.UNREADABLE: "red"}
"""Of a row of the table, on a terminal."""


def longest(pictures: Iterable[object]) -> int:
    """Return the columns that the longest name takes."""
    return max((len(shown(picture)) for picture in pictures if isinstance(picture, str)), default=0)


def _name(answer: Prediction) -> str:
    return STDIN if answer.path is None else shown(answer.path)


def table(answers: Iterable[Prediction], top: int, width: int) -> Iterator[str]:
    """Yield a header and a row for each answer."""
    width = min(max(width, len("picture")), NAME_WIDTH)
    block = _block()
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org
    yield f"{'picture':<{width}}  digit  confidence"
    for answer in answers:
        name = f"{_name(answer):<{width}}"
        figures = _figures(answer, top, block)
        yield f"{name}  " + (click.style(figures, fg=COLOURS[answer.status]) if coloured else figures)


def _figures(answer: Prediction, top: int, block: str) -> str:
    """Return what a row says about its picture."""
    if answer.digit is None or answer.confidence is None:
        return f"{'–' if block == '█' else '-':>5}  {'':>10}  {answer.status.replace('_', ' ')}"
    cells = [f"{answer.digit:>5}", f"{answer.confidence:>10.1%}", f"{block * round(answer.confidence * BAR):<{BAR}}"]
    if answer.status is not Status.OK:
        cells.append(answer.status.value)
    if top > 1:
        cells.append("then " + ", ".join(f"{digit} ({share:.1%})" for digit, share in answer.top(top)[1:]))
    return "  ".join(cells).rstrip()


def _block() -> str:
    """Return what bars are made of, as far as stdout can show it."""
    try:
        "█–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"


def json_list(answers: Iterable[Prediction], top: int, _: int) -> Iterator[str]:
    """Yield one list of objects."""
    yield json.dumps([_object(answer, top) for answer in answers], indent=2)


def json_lines(answers: Iterable[Prediction], top: int, _: int) -> Iterator[str]:
    """Yield an object for each answer."""
    for answer in answers:
        yield json.dumps(_object(answer, top))


def _object(answer: Prediction, top: int) -> dict[str, Any]:
    ranked = [{"digit": digit, "confidence": share} for digit, share in answer.top(top)]
    return answer.to_json() | {"path": STDIN if answer.path is None else answer.path} | ({"top": ranked} if top else {})


def csv_rows(answers: Iterable[Prediction], top: int, _: int) -> Iterator[str]:
    """Yield a header and a row for each answer, by RFC 4180 but for the line ends."""
    import csv
    import io

    more = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("digit", "confidence")]
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="")

    def written(row: Iterable[object]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        return line.getvalue()

    yield written(["path", "status", "digit", "confidence", "model", *more])
    for answer in answers:
        further: list[object] = [value for pair in answer.top(top)[1:] for value in pair]
        yield written(
            [
                _name(answer),
                answer.status.value,
                answer.digit,
                answer.confidence,
                answer.model,
                *(further or [None] * len(more)),
            ]
        )


def digits(answers: Iterable[Prediction], _top: int, _: int) -> Iterator[str]:
    """Yield a line with the digit for each answer, or `-` where there is none."""
    for answer in answers:
        yield "-" if answer.digit is None else str(answer.digit)


FORMS: dict[str, Form] = {
    "table": table,
    "json": json_list,
    "jsonl": json_lines,
    "csv": csv_rows,
    "quiet": digits,
}
"""The ways in which `predict` tells its answers."""
