"""Reports as one HTML page that holds everything it shows: to be read offline, and attached to a release."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import mnist_edge
from mnist_edge.parity.comparison import Reference
from mnist_edge.exporting.report.report import Report
from mnist_edge.parity.statistics import ChangedAnswer
from mnist_edge.atomic import read_bytes, sha256

MOST_DIGITS = 100
"""Changed answers of a file that the page shows as pictures, the trained model's surest."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("mnist_edge.export", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class _Digit:
    """A changed answer and its picture, as a data URI."""

    answer: ChangedAnswer
    picture: str


@dataclass(frozen=True)
class _Section:
    """What the page shows of one file."""

    report: Report
    digest: str
    size: int
    histogram: str
    digits: list[_Digit]


def html_report(reports: Sequence[Report], reference: Reference) -> bytes:
    """Return the page; the same reports give the same bytes.

    Raises:
        UserError: a file can't be read.
    """
    page = _TEMPLATES.get_template("report.html.jinja").render(
        sections=[_section(report, reference) for report in reports],
        figures=list(dict.fromkeys(name for report in reports for name in report.figures())),
        checkpoint=reference.checkpoint,
        images=len(reference.images),
        most_digits=MOST_DIGITS,
        version=mnist_edge.__version__,
    )
    return (page + "\n").encode()


def draw_errors(axes: Axes, errors: NDArray[np.float64], allowed: float | None) -> None:
    """Draw the histogram of |Δlogit| on a logarithmic axis, with the bound that was allowed, if any.

    Logits that are the same, or not finite, have no place on that axis and are counted in the title.
    """
    flat = errors.ravel()
    shown = flat[(flat > 0) & np.isfinite(flat)]
    if len(shown):
        lowest, highest = np.log10(shown.min()), np.log10(max(shown.max(), allowed or 0))
        axes.hist(shown, bins=np.logspace(lowest, highest + 1e-9, 60).tolist(), color="#4878a8")
    if allowed is not None:
        axes.axvline(allowed, color="#b03030", linestyle="--", label=f"allowed {allowed:g}")
        axes.legend(fontsize=8)
    axes.set(xscale="log", xlabel="|Δlogit|", ylabel="logits")
    same, bad = int((flat == 0).sum()), int((~np.isfinite(flat)).sum())
    rest = f", {bad:,} are not finite" if bad else ""
    axes.set_title(f"{len(flat):,} logits: {same:,} are the same{rest}", fontsize=9)
    axes.grid(alpha=0.3)


def _section(report: Report, reference: Reference) -> _Section:
    data = read_bytes(report.path)
    tolerance = report.parity.tolerance
    allowed = tolerance.max_error if tolerance else None
    changed = report.statistics.changed[:MOST_DIGITS] if report.statistics else ()
    return _Section(
        report=report,
        digest=sha256(data),
        size=len(data),
        histogram="" if report.errors is None else _histogram(report.errors, allowed),
        digits=[_Digit(answer, _png(reference.images[answer.image, 0])) for answer in changed],
    )


def _histogram(errors: NDArray[np.float64], allowed: float | None) -> str:
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    draw_errors(figure.subplots(), errors, allowed)
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "mnist-edge", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _data_uri("image/svg+xml", buffer.getvalue())


def _png(image: NDArray[np.float32]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(buffer, "PNG")
    return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
