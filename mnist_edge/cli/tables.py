"""Results as tables on stdout."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnist_edge.cli.output import encodable, printable, say_rendered, shorten, styled
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


class TextTable(Table):
    """A table whose cells and headings are text: nothing in them is markup, or steers the terminal.

    Attributes:
        line_above: what the table is about; unlike a title of rich it is not fitted into the width of the table.
    """

    def __init__(self, first: str, *columns: str, line_above: str = "") -> None:
        super().__init__(box=box.SIMPLE_HEAD, pad_edge=False)
        self.line_above = line_above
        self.add_column(_text(first), overflow="fold")
        for column in columns:
            self.add_column(_text(column), justify="right")

    def add_texts(self, *cells: str) -> None:
        """Add a row."""
        self.add_row(*map(_text, cells))


def print_table(table: TextTable) -> None:
    """Print to stdout, as wide as the terminal is, or as wide as the table is where there is none."""
    console = Console(color_system="auto" if styled(sys.stdout) else None)
    if not sys.stdout.isatty():
        console.width = Console(width=UNBOUNDED_WIDTH).measure(table).maximum
    with console.capture() as captured:
        if table.line_above:
            console.print(_text(table.line_above), style="italic", soft_wrap=True)
        console.print(table)
    say_rendered(captured.get())


def artifact_table(artifacts: list[Artifact]) -> TextTable:
    """Return a row for each exported artifact: size and figures of its proof."""
    table = TextTable("exported", "bytes", *_PARITY_COLUMNS)
    for artifact in artifacts:
        table.add_texts(str(artifact.path), f"{artifact.size:,}", *_parity_cells(artifact.report))
    return table


def candidate_table(artifact: Artifact, images: int) -> TextTable:
    """Return a row for each scheme that was compared for an artifact, measured on `images` validation images."""
    line_above = f"{artifact.path}: schemes compared on the {images:,} validation images"
    table = TextTable("scheme", "bytes", "largest |Δlogit|", "agreement", "accuracy", "", line_above=line_above)
    table.columns[-1].justify = "left"
    table.columns[-1].max_width = 60
    for candidate in artifact.candidates:
        verdict = "taken" if candidate.chosen else f"refused: {candidate.refusal}" if candidate.refusal else ""
        table.add_texts(
            candidate.scheme,
            f"{candidate.size:,}",
            f"{candidate.max_abs_diff:.2g}",
            f"{candidate.agreement:.2%}",
            f"{candidate.accuracy:.2%}",
            verdict,
        )
    return table


def report_table(reports: Sequence[ParityReport]) -> TextTable:
    """Return a column for each verified artifact: its statistics, the outcome of each check, and the verdict."""
    names = [report.path.name for report in reports]
    table = TextTable("", *(names if len(set(names)) == len(names) else [str(report.path) for report in reports]))
    figures = [readable_figures(report) for report in reports]
    for name in dict.fromkeys(name for column in figures for name in column):
        table.add_texts(name, *(column.get(name, "–") for column in figures))
    table.add_section()
    longest_first = sorted(reports, key=lambda report: -len(report.checks))
    for code, title in dict.fromkeys((check.code, check.title) for report in longest_first for check in report.checks):
        table.add_texts(title, *(_check_cell(report, code) for report in reports))
    table.add_section()
    table.add_texts("parity", *("passed" if report else "FAILED" for report in reports))
    return table


def _check_cell(report: ParityReport, code: str) -> str:
    check = report.check(code)
    return "–" if check is None else f"{check.found}: {check.verdict}"


def changed_table(reports: Sequence[ParityReport]) -> TextTable:
    """Return a row for each answer that changed, the most confident first, up to `MAX_CHANGED` for each file."""
    table = TextTable("changed answers", "image", "label", "trained model", "its margin", "file", "its margin")
    for report in reports:
        changed = report.statistics.changed if report.statistics else ()
        for answer in changed[:MAX_CHANGED]:
            margins = f"{answer.margin:.3f}", f"{answer.exported_margin:.3f}"
            numbers = str(answer.image), str(answer.label), str(answer.trained), margins[0], str(answer.exported)
            table.add_texts(str(report.path), *numbers, margins[1])
        if len(changed) > MAX_CHANGED:
            table.add_texts(f"{report.path}: {len(changed) - MAX_CHANGED:,} more")
    return table


def layer_table(path: Path, report: LayerwiseReport) -> TextTable:
    """Return a row for each layer of an artifact: its error, and how much of it the layer makes by itself."""
    headings = "layer", "largest |Δ|", "relative error", "its own", "of weights", "of arithmetic", ""
    table = TextTable(*headings, line_above=f"{path}: {report.culprit}")
    for layer in report.layers:
        parts = ["" if part is None else f"{part:.1e}" for part in (layer.weights, layer.arithmetic)]
        diverges = "diverges" if layer.diverges else ""
        figures = f"{layer.max_abs_diff:.3g}", f"{layer.error:.1e}", f"{layer.own:.1e}"
        table.add_texts(layer.name, *figures, *parts, diverges)
    if report.weights is not None and report.arithmetic is not None:
        table.add_section()
        logits = report.layers[-1]
        figures = f"{logits.max_abs_diff:.3g}", f"{logits.error:.1e}", ""
        table.add_texts("logits, in all", *figures, f"{report.weights:.1e}", f"{report.arithmetic:.1e}", "")
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


def evaluation_table(evaluations: Mapping[Path, Evaluation], labels: Sequence[str]) -> TextTable:
    """Return a row for each model: accuracy with its interval, and the lowest precision and recall of a class."""
    table = TextTable(
        "model", "accuracy", "95 % interval", "wrong", "calibration error", "lowest precision", "lowest recall"
    )
    for path, evaluation in evaluations.items():
        low, high = evaluation.interval
        table.add_texts(
            str(path),
            f"{evaluation.accuracy:.2%}",
            f"{low:.2%} – {high:.2%}",
            f"{evaluation.images - evaluation.correct} of {evaluation.images:,}",
            f"{evaluation.calibration_error:.2%}",
            _lowest(evaluation.precision, labels),
            _lowest(evaluation.recall, labels),
        )
    return table


def class_table(path: Path, evaluation: Evaluation, labels: Sequence[str]) -> TextTable:
    """Return the confusion matrix, a row for each label, with recall at the end of rows and precision below."""
    line_above = f"{path}: answers for each label"
    table = TextTable("label", *(f"→ {label}" for label in labels), "recall", line_above=line_above)
    for label, row, recall in zip(labels, evaluation.confusion, evaluation.recall, strict=True):
        table.add_texts(label, *(str(count) if count else "·" for count in row), f"{recall:.2%}")
    table.add_section()
    table.add_texts("precision", *(f"{value:.1%}" for value in evaluation.precision), "")
    return table


def corruption_table(path: str, accuracy: Mapping[str, Sequence[float]]) -> TextTable:
    """Return a row for each corruption: the accuracy at each severity, and the mean; the mean of all below."""
    line_above = f"{path}: accuracy on corrupted images"
    table = TextTable(
        "corruption", *(f"severity {severity}" for severity in SEVERITIES), "mean", "levels", line_above=line_above
    )
    for kind, row in accuracy.items():
        levels = ", ".join(f"{level:g}" for level in CORRUPTIONS[kind].levels)
        cells = [*(f"{value:.1%}" for value in row), f"{sum(row) / len(row):.1%}"]
        table.add_texts(kind, *cells, f"{levels} {CORRUPTIONS[kind].unit}")
    means = [sum(column) / len(accuracy) for column in zip(*accuracy.values(), strict=True)]
    table.add_section()
    table.add_texts("mean", *(f"{value:.1%}" for value in means), f"{sum(means) / len(means):.1%}", "")
    return table


def _lowest(values: tuple[float, ...], labels: Sequence[str]) -> str:
    lowest = min(values)
    return f"{lowest:.2%} (of {labels[values.index(lowest)]})"


def _text(cell: str) -> Text:
    return Text(encodable(shorten(printable(cell)), sys.stdout))
