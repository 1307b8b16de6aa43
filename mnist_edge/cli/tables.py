"""Results as tables on stdout."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.parity.layerwise import LayerReport
from mnist_edge.parity.comparison import ParityReport
from mnist_edge.exporting.report.report import Report
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.metrics import CLASSES, Evaluation

UNBOUNDED = 10_000
"""Columns assumed where stdout is no terminal, so that nothing is cut or folded."""

MOST_CHANGED = 10
"""Changed answers of a file that a table shows."""


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


def report_table(reports: Sequence[Report]) -> Table:
    """Return a column for each verified file: its statistics, the outcome of each check, and the verdict."""
    names = [report.path.name for report in reports]
    table = _table("", *(names if len(set(names)) == len(names) else [str(report.path) for report in reports]))
    for name in dict.fromkeys(name for report in reports for name in report.figures()):
        table.add_row(name, *(report.figures().get(name, "–") for report in reports))
    table.add_section()
    longest_first = sorted(reports, key=lambda report: -len(report.checks))
    for name in dict.fromkeys(check.name for report in longest_first for check in report.checks):
        table.add_row(name, *(_check_cell(report, name) for report in reports))
    table.add_section()
    table.add_row("parity", *("passed" if report else "FAILED" for report in reports))
    return table


def _check_cell(report: Report, name: str) -> str:
    return next((f"{check.found}: {check.verdict}" for check in report.checks if check.name == name), "–")


def changed_table(reports: Sequence[Report]) -> Table:
    """Return a row for each answer that changed, the surest first, up to `MOST_CHANGED` for each file."""
    table = _table("changed answers", "image", "label", "trained model", "its margin", "file", "its margin")
    for report in reports:
        changed = report.statistics.changed if report.statistics else ()
        for answer in changed[:MOST_CHANGED]:
            margins = f"{answer.margin:.3f}", f"{answer.exported_margin:.3f}"
            numbers = str(answer.image), str(answer.label), str(answer.trained), margins[0], str(answer.exported)
            table.add_row(str(report.path), *numbers, margins[1])
        if len(changed) > MOST_CHANGED:
            table.add_row(f"{report.path}: {len(changed) - MOST_CHANGED:,} more")
    return table


def layer_table(path: Path, layers: LayerReport) -> Table:
    """Return a row for each step of a file: its error, and how much of it the step makes by itself."""
    table = _table("step", "largest |Δ|", "relative error", "its own", "of weights", "of arithmetic", "")
    table.title = f"{path}: {layers.culprit}"
    table.title_justify = "left"
    for step in layers.steps:
        parts = ["" if part is None else f"{part:.1e}" for part in (step.weights, step.arithmetic)]
        departs = "departs" if step.departs else ""
        table.add_row(step.name, f"{step.max_error:.3g}", f"{step.error:.1e}", f"{step.own:.1e}", *parts, departs)
    if layers.weights is not None and layers.arithmetic is not None:
        table.add_section()
        logits = layers.steps[-1]
        totals = (
            f"{logits.max_error:.3g}",
            f"{logits.error:.1e}",
            "",
            f"{layers.weights:.1e}",
            f"{layers.arithmetic:.1e}",
        )
        table.add_row("logits, all in all", *totals, "")
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
