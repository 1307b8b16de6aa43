"""Tables at the widths of terminals: nothing is cut, names stay apart, and words stay whole."""

import dataclasses
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mnist_edge.cli import formatters, output
from mnist_edge.cli.formatters import Layout
from mnist_edge.cli.layout import TextTable, print_tables
from mnist_edge.cli.tables import class_table, corruption_table, evaluation_table, verdict_table
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.prediction import Prediction, Status
from mnist_edge.text import wrap
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.metrics import evaluate_logits
from tests.cli.test_output import Stream

LONG = "a-model-that-differs-from-the-other-one-at-its-very-end"
WIDTHS = (40, 80, 200)

Shown = Callable[[int, Callable[[], None]], list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Returns the lines that a terminal of a width is sent."""

    def lines(width: int, show: Callable[[], None]) -> list[str]:
        terminal = Stream("utf-8", terminal=True)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys, "stdout", terminal)
        show()
        return terminal.written().decode().splitlines()

    return lines


def joined(lines: Iterable[str]) -> str:
    """Return lines as one text, in which a name that went on below is whole again."""
    return re.sub(r"([-/_.])\n *", r"\1", "\n".join(lines))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_fits_the_terminal_and_keeps_its_names(
    width: int, shown: Shown, reports: dict[str, ParityReport], reference: Reference
) -> None:
    report = reports["mnist-mlp-int8.onnx"]
    names = [f"{LONG}-{number}.onnx" for number in (1, 2)]
    short = list(reports.values())
    long = [dataclasses.replace(report, path=Path("exports") / name) for name in names]
    evaluation = evaluate_logits(reference.logits, reference.labels, 1.0)
    labels = reference.checkpoint.task.labels
    accuracy = {kind: [0.5] * len(SEVERITIES) for kind in CORRUPTIONS}
    tables = [
        verdict_table(short, "exported to exports"),
        verdict_table(long, "exported to exports"),
        evaluation_table({path.path: evaluation for path in long}),
        class_table(long[0].path, evaluation, labels),
        corruption_table(str(long[0].path), accuracy, levels=width > 80),
    ]
    for table in tables:
        lines = shown(width, lambda table=table: print_tables([table]))  # type: ignore[misc]
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)
    for each, columns in ((short, 80), (long, 200)):
        if width >= columns:
            lines = shown(width, lambda each=each: print_tables([verdict_table(each)]))  # type: ignore[misc]
            rows = [line.split() for line in lines[-len(each) :]]
            assert [(row[0], row[-1], len(row)) for row in rows] == [(item.path.name, "passed", 7) for item in each]
    text = joined(shown(width, lambda: print_tables([verdict_table(long)])))
    assert all(name in text for name in names)


@pytest.mark.parametrize("width", WIDTHS)
def test_answers_fit_the_terminal_and_keep_their_names(width: int, shown: Shown) -> None:
    labels = tuple("0123456789")
    names = [f"pictures/{LONG}-{number}.png" for number in (1, 2)]
    probabilities = (0.9, *[0.1 / 9] * 9)
    answers = [
        Prediction(name, Status.UNCERTAIN, "0", 0, 0.9, probabilities, labels, "mnist-mlp.onnx") for name in names
    ]

    def show() -> None:
        layout = Layout(3, max(map(len, names)), labels, width)
        for line in formatters.table(answers, layout):
            output.say_rendered(line + "\n")

    lines = shown(width, show)
    assert max(map(len, lines)) <= width
    assert all(name in joined(lines) for name in names)
    assert sum("90.0%" in line for line in lines) == 2
    assert sum("█" in line for line in lines) == (2 if width == 200 else 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_go_on_between_words(width: int, shown: Shown) -> None:
    text = "  tensors: float32 [128, 784] float32 [128] float32 [64, 128] float32 [64] float32 [10, 64] float32 [10]"
    lines = shown(width, lambda: output.say_wrapped(text))
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == text.strip()


def test_a_word_without_a_place_to_part_stays_whole() -> None:
    assert wrap("a " + "b" * 50, 20, "  ") == ["a", "  " + "b" * 50]
    assert wrap("", 20) == [""]
    table = TextTable("", "", line_above="")
    table.add("largest", "1e-5")
    assert table.listing(40) == ["largest: 1e-5"]
