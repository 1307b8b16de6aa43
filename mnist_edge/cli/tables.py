"""Results as tables on stdout."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mnist_edge.export.export import Artefact
from mnist_edge.export.parity import ParityReport
from mnist_edge.training.corrupt import CORRUPTIONS, SEVERITIES
from mnist_edge.training.metrics import CLASSES, Evaluation

UNBOUNDED = 10_000
"""Columns assumed where stdout is no terminal, so that nothing is cut or folded."""


def print_table(table: Table) -> None:
    """Print to stdout, as wide as the terminal is, or as wide as the table is where there is none."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=Console(width=UNBOUNDED).measure(table).maximum)
    console.print(table)


def artefact_table(artefacts: list[Artefact]) -> Table:
    """Return a row for each exported file: size and figures of its proof."""
    table = _table("exported", "bytes", *_PARITY_COLUMNS)
    for artefact in artefacts:
        table.add_row(str(artefact.path), f"{artefact.size:,}", *_parity_cells(artefact.report))
    return table


def candidate_table(artefact: Artefact) -> Table:
    """Return a row for each way to quantise that was weighed for a file, measured on the held-back images."""
    table = _table("quantised", "bytes", "largest |Δlogit|", "same answers", "accuracy", "")
    table.title = f"{artefact.path}: weighed on the 5,000 held-back training images"
    table.title_justify = "left"
    table.columns[-1].justify = "left"
    table.columns[-1].max_width = 60
    for candidate in artefact.candidates:
        verdict = "taken" if candidate.chosen else f"refused: {candidate.refusal}" if candidate.refusal else ""
        table.add_row(
            candidate.scheme,
            f"{candidate.size:,}",
            f"{candidate.max_error:.2g}",
            f"{candidate.agreement:.2%}",
            f"{candidate.accuracy:.2%}",
            verdict,
        )
    return table


def parity_table(reports: Mapping[Path, ParityReport]) -> Table:
    """Return a row for each verified file: the figures and the verdict."""
    table = _table("file", *_PARITY_COLUMNS)
    for path, report in reports.items():
        table.add_row(str(path), *_parity_cells(report))
    return table


_PARITY_COLUMNS = ("largest |Δlogit|", "same answers", "accuracy", "trained model", "parity")


def _parity_cells(report: ParityReport) -> list[str]:
    return [
        "–" if report.max_error is None else f"{report.max_error:.2g}",
        "–" if report.agreement is None else f"{report.agreement:.2%}",
        "–" if report.accuracy is None else f"{report.accuracy:.2%}",
        f"{report.reference_accuracy:.2%}",
        "passed" if report else "FAILED",
    ]


def evaluation_table(evaluations: Mapping[Path, Evaluation]) -> Table:
    """Return a row for each model: accuracy with its interval, and the least precision and recall of a class."""
    table = _table(
        "model", "accuracy", "95 % interval", "wrong", "calibration error", "lowest precision", "lowest recall"
    )
    for path, evaluation in evaluations.items():
        low, high = evaluation.interval
        table.add_row(
            str(path),
            f"{evaluation.accuracy:.2%}",
            f"{low:.2%} – {high:.2%}",
            f"{evaluation.images - evaluation.correct} of {evaluation.images:,}",
            f"{evaluation.calibration_error:.2%}",
            _least(evaluation.precision),
            _least(evaluation.recall),
        )
    return table


def class_table(path: Path, evaluation: Evaluation) -> Table:
    """Return the confusion matrix, a row for each label, with recall at the end of rows and precision below."""
    table = _table("label", *(f"→ {digit}" for digit in CLASSES), "recall")
    table.title = f"{path}: answers for each label"
    table.title_justify = "left"
    for label, row in enumerate(evaluation.confusion):
        table.add_row(str(label), *(str(count) if count else "·" for count in row), f"{evaluation.recall[label]:.2%}")
    table.add_section()
    table.add_row("precision", *(f"{value:.1%}" for value in evaluation.precision), "")
    return table


def corruption_table(path: str, accuracy: Mapping[str, Sequence[float]]) -> Table:
    """Return a row for each corruption: the accuracy at each severity, and the mean; the mean of all below."""
    table = _table("corruption", *(f"severity {severity}" for severity in SEVERITIES), "mean", "levels")
    table.title = f"{path}: accuracy on corrupted images"
    table.title_justify = "left"
    for kind, row in accuracy.items():
        levels = ", ".join(f"{level:g}" for level in CORRUPTIONS[kind].levels)
        cells = [*(f"{value:.1%}" for value in row), f"{sum(row) / len(row):.1%}"]
        table.add_row(kind, *cells, f"{levels} {CORRUPTIONS[kind].unit}")
    means = [sum(column) / len(accuracy) for column in zip(*accuracy.values(), strict=True)]
    table.add_section()
    table.add_row("mean", *(f"{value:.1%}" for value in means), f"{sum(means) / len(means):.1%}", "")
    return table


def _least(values: tuple[float, ...]) -> str:
    least = min(values, default=math.nan)
    return f"{least:.2%} (of {values.index(least)})"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table
