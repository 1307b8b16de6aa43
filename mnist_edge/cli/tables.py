"""Results as tables."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mnist_edge.cli.layout import TextTable
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.exporting.report.figures import readable_figures, readable_verdict
from mnist_edge.formats.device_run import DeviceRun, FirmwareRun
from mnist_edge.parity.layerwise import LayerwiseReport
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.percent import percent_down
from mnist_edge.text import printable, shorten
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.metrics import Evaluation

MAX_MATRIX = 20
"""Labels up to which the answers for each are a matrix."""

MAX_LABEL = 20
"""Characters of a label in a table."""

MAX_CHANGED = 10
"""Changed answers of an artifact that a table shows."""


def verdict_table(reports: Sequence[ParityReport], done: str = "") -> TextTable:
    """Return a row for each artifact: its size, the figures that its proof rests on, and the verdict.

    Above it is what was `done`, and on how many test images the proof rests, where any file could be compared.
    """
    above = ", ".join(part for part in (done, _compared(reports)) if part)
    names = short_names([report.path for report in reports])
    headings = "largest\n|Δlogit|", "top-1\nagreement", "\naccuracy", "trained\nmodel"
    table = TextTable("\nfile", "\nbytes", *headings, "\nparity", line_above=f"{above}:" if above else "")
    for report in reports:
        size = f"{report.size:,}" if report.size else "–"
        figures = readable_verdict(report).values()
        table.add(names[report.path], size, *figures, "passed" if report else "FAILED")
    return table


def _compared(reports: Sequence[ParityReport]) -> str:
    """Return on how many images files were compared; empty where none was."""
    images = sorted({report.images for report in reports if report.comparisons})
    if not images:
        return ""
    count = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}"
    return f"compared on {count} test image{'' if images == [1] else 's'}"


def short_names(paths: Collection[Path]) -> dict[Path, str]:
    """Return the name of each file, or its whole path where two of them have the same name."""
    alike = len({path.name for path in paths}) < len(set(paths))
    return {path: printable(str(path) if alike else path.name) for path in paths}


def candidate_table(artifact: Artifact, images: int) -> TextTable:
    """Return a row for each scheme that was compared for an artifact, measured on `images` validation images."""
    line_above = f"{artifact.path}: schemes compared on the {images:,} validation images"
    headings = "\nbytes", "largest\n|Δlogit|", "top-1\nagreement", "\naccuracy", "\n"
    table = TextTable("\nscheme", *headings, line_above=line_above)
    for candidate in artifact.candidates:
        table.add(
            candidate.scheme,
            f"{candidate.size:,}",
            f"{candidate.max_abs_diff:.3g}",
            f"{percent_down(candidate.agreement)}%",
            f"{candidate.accuracy:.2%}",
            "taken" if candidate.chosen else "refused" if candidate.refusal else "",
        )
    return table


def report_table(reports: Sequence[ParityReport]) -> TextTable:
    """Return a column for each verified artifact: its statistics and the outcome of each check."""
    names = short_names([report.path for report in reports])
    alone = len(reports) == 1
    headings = [""] if alone else names.values()
    table = TextTable("", *headings, line_above=str(reports[0].path) if alone else "")
    figures = [readable_figures(report) for report in reports]
    for name in dict.fromkeys(name for column in figures for name in column):
        table.add(name, *(column.get(name, "–") for column in figures))
    table.add_section()
    longest_first = sorted(reports, key=lambda report: -len(report.checks))
    for code, title in dict.fromkeys((check.code, check.title) for report in longest_first for check in report.checks):
        table.add(title, *(_check_cell(report, code) for report in reports))
    return table


def _check_cell(report: ParityReport, code: str) -> str:
    check = report.check(code)
    return "–" if check is None else f"{check.found}: {check.verdict}"


def changed_table(report: ParityReport) -> TextTable:
    """Return a row for each answer that changed, the most confident first, up to `MAX_CHANGED`."""
    changed = report.statistics.changed if report.statistics else ()
    more = f", of which {MAX_CHANGED} are shown" if len(changed) > MAX_CHANGED else ""
    answers = "answer" if len(changed) == 1 else "answers"
    line_above = f"{report.path}: {len(changed):,} changed {answers}{more}"
    headings = "\nlabel", "trained\nmodel", "its\nmargin", "\nfile", "its\nmargin"
    table = TextTable("\nimage", *headings, line_above=line_above)
    for answer in changed[:MAX_CHANGED]:
        margins = f"{answer.margin:.3f}", f"{answer.exported_margin:.3f}"
        numbers = str(answer.image), str(answer.label), str(answer.trained), margins[0], str(answer.exported)
        table.add(*numbers, margins[1])
    return table


def layer_table(path: Path, report: LayerwiseReport) -> TextTable:
    """Return a row for each layer of an artifact: its error, and how much of it the layer makes by itself."""
    headings = "largest\n|Δ|", "relative\nerror", "its\nown", "of\nweights", "of\narithmetic", "\n"
    table = TextTable("\nlayer", *headings, line_above=f"{path}: {report.culprit}")
    for layer in report.layers:
        parts = ["" if part is None else f"{part:.1e}" for part in (layer.weights, layer.arithmetic)]
        diverges = "diverges" if layer.diverges else ""
        figures = f"{layer.max_abs_diff:.3g}", f"{layer.error:.1e}", f"{layer.own:.1e}"
        table.add(layer.name, *figures, *parts, diverges)
    if report.weights is not None and report.arithmetic is not None:
        table.add_section()
        logits = report.layers[-1]
        figures = f"{logits.max_abs_diff:.3g}", f"{logits.error:.1e}", ""
        table.add("logits, in all", *figures, f"{report.weights:.1e}", f"{report.arithmetic:.1e}", "")
    return table


def device_table(report: ParityReport) -> TextTable:
    """Return a row for each emulated device: how equal the logits are, and what a program takes that is alone there."""
    tools = " or ".join(sorted({run.tools.split(" -target ")[0] for run in report.devices}))
    if not any(isinstance(run, FirmwareRun) for run in report.devices):
        return _answers_on_devices(report, f"{report.path}: on an emulated processor, {tools}; against this machine")
    line_above = f"{report.path}: on emulated devices, {tools}; bytes, instructions an image"
    headings = "logits\nequal", "flash:\ncode", "\nnumbers", "RAM:\nstatic", "\nstack", "instructions\nmedian"
    table = TextTable("\ntarget", *headings, "\nleast", "\nmost", line_above=line_above)
    for run in report.devices:
        if isinstance(run, FirmwareRun):
            least, median, most = run.instructions
            sizes = (run.code, run.constants, run.variables, run.stack, median, least, most)
            table.add(run.target, _equal(report, run, "logits"), *(f"{size:,}" for size in sizes))
    return table


def _answers_on_devices(report: ParityReport, line_above: str) -> TextTable:
    table = TextTable("\ntarget", "answers\nequal", "largest\n|Δlogit|", line_above=line_above)
    for run in report.devices:
        check = report.check(f"target_{run.target}")
        difference = f"{check.figures['max_abs_diff']:.3g}" if check else "–"
        table.add(run.target, _equal(report, run, "answers"), difference)
    return table


def _equal(report: ParityReport, run: DeviceRun, what: str) -> str:
    """Return on how many images the logits, or the answers, are the same as here."""
    check = report.check(f"target_{run.target}")
    return f"{check.figures[f'equal_{what}']:,} of {check.figures['images']:,}" if check else "–"


def evaluation_table(evaluations: Mapping[Path, Evaluation]) -> TextTable:
    """Return a row for each model: accuracy with its interval, wrong answers, and calibration error."""
    names = short_names(evaluations.keys())
    table = TextTable("\nmodel", "\naccuracy", "\n95 % interval", "wrong\nanswers", "calibration\nerror")
    for path, evaluation in evaluations.items():
        low, high = evaluation.interval
        table.add(
            names[path],
            f"{evaluation.accuracy:.2%}",
            f"{low:.2%} – {high:.2%}",
            f"{evaluation.images - evaluation.correct} of {evaluation.images:,}",
            f"{evaluation.calibration_error:.2%}",
        )
    return table


def class_table(path: Path, evaluation: Evaluation, labels: Sequence[str]) -> TextTable:
    """Return the confusion matrix, a row for each label, with its recall and precision at the end.

    Of more than `MAX_MATRIX` labels the matrix would have no room: in its place, each label's most frequent wrong
    answer, and the labels with the lowest recall alone.
    """
    if len(labels) > MAX_MATRIX:
        return _worst_classes_table(path, evaluation, labels)
    line_above = f"{path}: answers for each label"
    names = [shorten(printable(label), MAX_LABEL) for label in labels]
    table = TextTable("label", *(f"→ {name}" for name in names), "recall", "precision", line_above=line_above)
    rows = zip(names, evaluation.confusion, evaluation.recall, evaluation.precision, strict=True)
    for name, row, recall, precision in rows:
        table.add(name, *(str(count) if count else "·" for count in row), f"{recall:.2%}", f"{precision:.2%}")
    return table


def _worst_classes_table(path: Path, evaluation: Evaluation, labels: Sequence[str]) -> TextTable:
    shown = sorted(range(len(labels)), key=lambda label: evaluation.recall[label])[:MAX_MATRIX]
    line_above = f"{path}: the {len(shown)} of {len(labels):,} labels with the lowest recall"
    table = TextTable("label", "images", "recall", "precision", "most often taken for", line_above=line_above)
    for label in shown:
        counts = evaluation.confusion[label]
        taken = max((answer for answer in range(len(labels)) if answer != label), key=lambda answer: counts[answer])
        wrong = f"{shorten(printable(labels[taken]), MAX_LABEL)} ({counts[taken]})" if counts[taken] else ""
        figures = f"{evaluation.recall[label]:.2%}", f"{evaluation.precision[label]:.2%}"
        table.add(shorten(printable(labels[label]), MAX_LABEL), str(sum(counts)), *figures, wrong)
    return table


def corruption_table(path: str, accuracy: Mapping[str, Sequence[float]], *, levels: bool = True) -> TextTable:
    """Return a row for each corruption: the accuracy at each severity, and the mean; the mean of all below.

    With `levels`, the last column says what the severities are.
    """
    line_above = f"{path}: accuracy on corrupted images, by severity"
    headings = *map(str, SEVERITIES), "mean", *(["levels"] if levels else [])
    table = TextTable("corruption", *headings, line_above=line_above)
    for kind, row in accuracy.items():
        cells = [*(f"{value:.1%}" for value in row), f"{sum(row) / len(row):.1%}"]
        if levels:
            cells.append(" ".join([*(f"{level:g}" for level in CORRUPTIONS[kind].levels), CORRUPTIONS[kind].unit]))
        table.add(kind, *cells)
    means = [sum(column) / len(accuracy) for column in zip(*accuracy.values(), strict=True)]
    table.add_section()
    table.add("mean", *(f"{value:.1%}" for value in means), f"{sum(means) / len(means):.1%}", *([""] if levels else []))
    return table
