"""Answers as lines on stdout: a table for people, JSON and CSV for programs, or labels alone."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from mnist_edge.cli.output import styled
from mnist_edge.runtime.prediction import Prediction, Status
from mnist_edge.text import printable, wrap

STDIN = "-"
"""The name of a picture that came on standard input."""

MAX_NAME_WIDTH = 60
"""Columns that a name takes at most; a longer one pushes its own row to the right."""

MIN_LABEL_WIDTH = 5
"""Columns that a label takes at least: those of its heading."""

MAX_LABEL_WIDTH = 40
"""Columns that labels take at most; a longer one pushes its own row to the right."""

BAR_WIDTH = 20
"""Columns of a full bar."""

COLORS = {Status.OK: "green", Status.UNCERTAIN: "yellow", Status.NO_DIGIT: "red", Status.UNREADABLE: "red"}
"""Of a row of the table, on a terminal."""


@dataclass(frozen=True)
class Layout:
    """What the lines depend on besides the answers.

    Attributes:
        top: how many labels of each answer to print; 0 prints no ranking.
        name_width: columns of the longest name, 0 where it is not known.
        labels: of the model's task.
        width: columns of the terminal, None where there is none.
    """

    top: int
    name_width: int
    labels: tuple[str, ...]
    width: int | None = None


Formatter = Callable[[Iterable[Prediction], Layout], Iterator[str]]
"""Answers and layout → lines, in which what came from files and their names is printable."""


def longest(pictures: Iterable[object]) -> int:
    """Return the columns that the longest name takes."""
    return max((len(printable(picture)) for picture in pictures if isinstance(picture, str)), default=0)


def _name(answer: Prediction) -> str:
    return STDIN if answer.path is None else printable(answer.path)


def table(answers: Iterable[Prediction], layout: Layout) -> Iterator[str]:
    """Yield a header and a row for each answer.

    Where a terminal is too narrow, the bars are left out, and a name that does not fit then stands above its figures.
    """
    label_width = min(max(MIN_LABEL_WIDTH, *(len(printable(label)) for label in layout.labels)), MAX_LABEL_WIDTH)
    heading = "digit" if all(label.isdecimal() for label in layout.labels) else "label"
    figures_width = label_width + len("  confidence")
    width = layout.width or sys.maxsize
    longest_name = min(max(layout.name_width, len("picture")), MAX_NAME_WIDTH)
    name_width = longest_name if longest_name + 2 + figures_width <= width else len("picture")
    bars = name_width + 2 + figures_width + 2 + BAR_WIDTH <= width
    colored = styled(sys.stdout)
    yield f"{'picture':<{name_width}}  {heading:>{label_width}}  confidence"
    for answer in answers:
        figures = _figures(answer, layout.top, label_width, bars)
        name, lines = _beside(_name(answer), figures, name_width, layout.width)
        for line in lines:
            yield name + (click.style(line, fg=COLORS[answer.status]) if colored else line)
            name = ""


def _beside(name: str, figures: str, name_width: int, width: int | None) -> tuple[str, list[str]]:
    """Return what stands before the first line of figures, and their lines; a name without room stands above them."""
    if width is None or max(len(name), name_width) + 2 + len(figures) <= width:
        return f"{name:<{name_width}}  ", [figures]
    above = "".join(f"{line}\n" for line in wrap(name, width, indent="  "))
    return above, wrap(f"{'':<{name_width}}  {figures}", width, indent="  ")


def _figures(answer: Prediction, top: int, label_width: int, bars: bool) -> str:
    """Return what a row says about its picture."""
    if answer.label is None or answer.confidence is None:
        return f"{'–':>{label_width}}  {'':>10}  {answer.status.replace('_', ' ')}"
    cells = [f"{printable(answer.label):>{label_width}}", f"{answer.confidence:>10.1%}"]
    if bars:
        cells.append(f"{'█' * round(answer.confidence * BAR_WIDTH):<{BAR_WIDTH}}")
    if answer.status is not Status.OK:
        cells.append(answer.status.value)
    if top > 1:
        cells.append("then " + ", ".join(f"{printable(label)} ({share:.1%})" for label, share in answer.top(top)[1:]))
    return "  ".join(cells).rstrip()


def json_list(answers: Iterable[Prediction], layout: Layout) -> Iterator[str]:
    """Yield one list of objects."""
    yield json.dumps([_object(answer, layout.top) for answer in answers], indent=2, allow_nan=False)


def json_lines(answers: Iterable[Prediction], layout: Layout) -> Iterator[str]:
    """Yield an object for each answer."""
    for answer in answers:
        yield json.dumps(_object(answer, layout.top), allow_nan=False)


def _object(answer: Prediction, top: int) -> dict[str, Any]:
    fields = answer.to_json() | {"path": STDIN if answer.path is None else answer.path}
    if top:
        fields["top"] = [
            {"label": label, "digit": _digit(answer, label), "confidence": share} for label, share in answer.top(top)
        ]
    return fields


def _digit(answer: Prediction, label: str) -> int | None:
    """Return a label of an answer's ranking as a number, where the answer itself is one."""
    return None if answer.digit is None else int(label)


def csv_rows(answers: Iterable[Prediction], layout: Layout) -> Iterator[str]:
    """Yield a header and a row for each answer, as RFC 4180 has them, except for the line ends."""
    more = [f"{name}_{rank}" for rank in range(2, layout.top + 1) for name in ("label", "digit", "confidence")]
    yield as_csv(["path", "status", "label", "digit", "confidence", "model", *more])
    for answer in answers:
        label = None if answer.label is None else printable(answer.label)
        row = [_name(answer), answer.status.value, label, answer.digit, answer.confidence, printable(answer.model)]
        ranked = answer.top(layout.top)[1:]
        further = [value for label, share in ranked for value in (printable(label), _digit(answer, label), share)]
        yield as_csv([*row, *(further or [None] * len(more))])


def as_csv(row: Iterable[object]) -> str:
    """Return a row of CSV without its line end."""
    import csv
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(row)
    return line.getvalue()


def digits(answers: Iterable[Prediction], _: Layout) -> Iterator[str]:
    """Yield a line with the label for each answer, or `-` where there is none."""
    for answer in answers:
        yield "-" if answer.label is None else printable(answer.label)


FORMATTERS: dict[str, Formatter] = {
    "table": table,
    "json": json_list,
    "jsonl": json_lines,
    "csv": csv_rows,
    "digits": digits,
}
"""The values of `--format`."""
