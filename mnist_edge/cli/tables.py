"""Results as tables on stdout."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.parity.layerwise import LayerwiseReport
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.metrics import Evaluation

UNBOUNDED_WIDTH = 10_000
"""Columns assumed where stdout is not a terminal, so that nothing is cut or folded."""

MAX_CHANGED = 10
"""Changed answers of an artifact that a table shows."""


def print_table(table: Table) -> None:
    """Print to stdout, as wide as the terminal is, or as wide as the table is where there is none."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=Console(width=UNBOUNDED_WIDTH).measure(table).maximum)
    console.print(table)


def artifact_table(artifacts: list[Artifact]) -> Table:
    """Return a row for each exported artifact: size and figures of its proof."""
    table = _table("exported", "bytes", *_PARITY_COLUMNS)
    for artifact in artifacts:
        table.add_row(str(artifact.path), f"{artifact.size:,}", *_parity_cells(artifact.report))
    return table


def candidate_table(artifact: Artifact, images: int) -> Table:
    """Return a row for each scheme that was compared for an artifact, measured on `images` validation images."""
    table = _table("scheme", "bytes", "largest |Δlogit|", "agreement", "accuracy", "")
    table.title = f"{artifact.path}: schemes compared on the {images:,} validation images"
    table.title_justify = "left"
    table.columns[-1].justify = "left"
    table.columns[-1].max_width = 60
    for candidate in artifact.candidates:
        verdict = "taken" if candidate.chosen else f"refused: {candidate.refusal}" if candidate.refusal else ""
        table.add_row(
            candidate.scheme,
            f"{candidate.size:,}",
            f"{candidate.max_abs_diff:.2g}",
            f"{candidate.agreement:.2%}",
            f"{candidate.accuracy:.2%}",
            verdict,
        )
    return table


def report_table(reports: Sequence[ParityReport]) -> Table:
    """Return a column for each verified artifact: its statistics, the outcome of each check, and the verdict."""
    names = [report.path.name for report in reports]
    table = _table("", *(names if len(set(names)) == len(names) else [str(report.path) for report in reports]))
    figures = [readable_figures(report) for report in reports]
    for name in dict.fromkeys(name for column in figures for name in column):
        table.add_row(name, *(column.get(name, "–") for column in figures))
    table.add_section()
    longest_first = sorted(reports, key=lambda report: -len(report.checks))
    for code, title in dict.fromkeys((check.code, check.title) for report in longest_first for check in report.checks):
        table.add_row(title, *(_check_cell(report, code) for report in reports))
    table.add_section()
    table.add_row("parity", *("passed" if report else "FAILED" for report in reports))
    return table


def _check_cell(report: ParityReport, code: str) -> str:
    check = report.check(code)
    return "–" if check is None else f"{check.found}: {check.verdict}"


def changed_table(reports: Sequence[ParityReport]) -> Table:
    """Return a row for each answer that changed, the most confident first, up to `MAX_CHANGED` for each file."""
    table = _table("changed answers", "image", "label", "trained model", "its margin", "file", "its margin")
    for report in reports:
        changed = report.statistics.changed if report.statistics else ()
        for answer in changed[:MAX_CHANGED]:
            margins = f"{answer.margin:.3f}", f"{answer.exported_margin:.3f}"
            numbers = str(answer.image), str(answer.label), str(answer.trained), margins[0], str(answer.exported)
            table.add_row(str(report.path), *numbers, margins[1])
        if len(changed) > MAX_CHANGED:
            table.add_row(f"{report.path}: {len(changed) - MAX_CHANGED:,} more")
    return table


def layer_table(path: Path, report: LayerwiseReport) -> Table:
    """Return a row for each layer of an artifact: its error, and how much of it the layer makes by itself."""
    table = _table("layer", "largest |Δ|", "relative error", "its own", "of weights", "of arithmetic", "")
    table.title = f"{path}: {report.culprit}"
    table.title_justify = "left"
    for layer in report.layers:
        parts = ["" if part is None else f"{part:.1e}" for part in (layer.weights, layer.arithmetic)]
        diverges = "diverges" if layer.diverges else ""
        figures = f"{layer.max_abs_diff:.3g}", f"{layer.error:.1e}", f"{layer.own:.1e}"
        table.add_row(layer.name, *figures, *parts, diverges)
    if report.weights is not None and report.arithmetic is not None:
        table.add_section()
        logits = report.layers[-1]
        figures = f"{logits.max_abs_diff:.3g}", f"{logits.error:.1e}", ""
        table.add_row("logits, in all", *figures, f"{report.weights:.1e}", f"{report.arithmetic:.1e}", "")
    return table


_PARITY_COLUMNS = ("largest |Δlogit|", "agreement", "accuracy", "trained model", "parity")


def _parity_cells(report: ParityReport) -> list[str]:
    return [
        "–" if report.max_abs_diff is None else f"{report.max_abs_diff:.2g}",
        "–" if report.agreement is None else f"{report.agreement:.2%}",
        "–" if report.accuracy is None else f"{report.accuracy:.2%}",
        f"{report.reference_accuracy:.2%}",
        "passed" if report else "FAILED",
    ]


def evaluation_table(evaluations: Mapping[Path, Evaluation], labels: Sequence[str]) -> Table:
    """Return a row for each model: accuracy with its interval, and the lowest precision and recall of a class."""
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
            _lowest(evaluation.precision, labels),
            _lowest(evaluation.recall, labels),
        )
    return table


def class_table(path: Path, evaluation: Evaluation, labels: Sequence[str]) -> Table:
    """Return the confusion matrix, a row for each label, with recall at the end of rows and precision below."""
    table = _table("label", *(f"→ {label}" for label in labels), "recall")
    table.title = f"{path}: answers for each label"
    table.title_justify = "left"
    for label, row, recall in zip(labels, evaluation.confusion, evaluation.recall, strict=True):
        table.add_row(label, *(str(count) if count else "·" for count in row), f"{recall:.2%}")
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


def _lowest(values: tuple[float, ...], labels: Sequence[str]) -> str:
    lowest = min(values)
    return f"{lowest:.2%} (of {labels[values.index(lowest)]})"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table
