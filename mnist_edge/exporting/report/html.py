"""Reports as one HTML page that holds everything it shows: to be read offline, and attached to a release."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.artifact.contract import Task
from mnist_edge.exporting.report.environment import Environment
from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.exporting.report.templates import TEMPLATES
from mnist_edge.formats.device_run import FirmwareRun
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.statistics import ChangedAnswer

MAX_CHANGED = 100
"""Changed answers of an artifact that the page shows as pictures, the trained model's most confident."""


@dataclass(frozen=True)
class _Change:
    """A changed answer, the labels in words, and its picture as a data URI."""

    answer: ChangedAnswer
    label: str
    trained: str
    exported: str
    picture: str


@dataclass(frozen=True)
class _Section:
    """What the page shows of one artifact."""

    report: ParityReport
    figures: dict[str, str]
    histogram: str
    changes: list[_Change]


def html_report(reports: Sequence[ParityReport], references: Sequence[Reference], environment: Environment) -> bytes:
    """Return the page on reports, each with the reference that it was judged by.

    The same reports from the same environment give the same bytes.
    """
    sections = [_section(report, reference) for report, reference in zip(reports, references, strict=True)]
    page = TEMPLATES.get_template("report.html.jinja").render(
        sections=sections,
        failed=[section for section in sections if not section.report],
        figures=list(dict.fromkeys(name for section in sections for name in section.figures)),
        checkpoints=list({reference.checkpoint.digest: reference.checkpoint for reference in references}.values()),
        images=" or ".join(f"{count:,}" for count in sorted({len(reference.images) for reference in references})),
        max_changed=MAX_CHANGED,
        firmware=lambda report: [run for run in report.devices if isinstance(run, FirmwareRun)],
        environment=environment,
    )
    return (page + "\n").encode()


def draw_differences(axes: Axes, differences: NDArray[np.float64], allowed: float | None) -> None:
    """Draw the histogram of |Δlogit| on a logarithmic axis, with the bound that was allowed, if any.

    Logits that are the same, or not finite, have no place on that axis and are counted in the title.
    """
    flat = differences.ravel()
    shown = flat[(flat > 0) & np.isfinite(flat)]
    if len(shown):
        lowest, highest = np.log10(shown.min()), np.log10(max(shown.max(), allowed or 0))
        highest = max(highest, lowest + 1)  # a bar has a width, though all are the same
        axes.hist(shown, bins=np.logspace(lowest, highest + 1e-9, 60).tolist(), color="#4878a8")
    if allowed is not None:
        axes.axvline(allowed, color="#b03030", linestyle="--", label=f"allowed {allowed:g}")
        axes.legend(fontsize=8)
    axes.set(xscale="log", xlabel="|Δlogit|", ylabel="logits")
    same, bad = int((flat == 0).sum()), int((~np.isfinite(flat)).sum())
    rest = f", {bad:,} are not finite" if bad else ""
    axes.set_title(f"{len(flat):,} logits: {same:,} are the same{rest}", fontsize=9)
    axes.grid(alpha=0.3)


def _section(report: ParityReport, reference: Reference) -> _Section:
    allowed = report.tolerance.max_abs_diff if report.tolerance else None
    changed = report.statistics.changed[:MAX_CHANGED] if report.statistics else ()
    return _Section(
        report=report,
        figures=readable_figures(report),
        histogram="" if report.differences is None else _histogram(report.differences, allowed),
        changes=[_change(answer, reference) for answer in changed],
    )


def _change(answer: ChangedAnswer, reference: Reference) -> _Change:
    task: Task = reference.checkpoint.task
    label, trained, exported = (task.labels[index] for index in (answer.label, answer.trained, answer.exported))
    return _Change(answer, label, trained, exported, _png(reference.images[answer.image]))


def _histogram(differences: NDArray[np.float64], allowed: float | None) -> str:
    figure = Figure(figsize=(6.4, 2.6))
    figure.subplots_adjust(left=0.14, right=0.98, bottom=0.2, top=0.89)  # to measure the texts would double the time
    draw_differences(figure.subplots(), differences, allowed)
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "mnist-edge", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return _data_uri("image/svg+xml", buffer.getvalue())


def _png(image: NDArray[np.float32]) -> str:
    """Return an image, `[channels, height, width]` in [0, 1], as a data URI."""
    buffer = io.BytesIO()
    pixels = np.round(image * 255).astype(np.uint8)
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
