"""The device matrix as one HTML page."""

from collections.abc import Sequence

from mnist_edge.benchmark.matrix import Outcome
from mnist_edge.exporting.report.templates import TEMPLATES


def matrix_page(outcomes: Sequence[Outcome]) -> bytes:
    """Return a page with a row for each file and a column for each device; the same outcomes give the same bytes."""
    page = TEMPLATES.get_template("matrix.html.jinja").render(
        outcomes=outcomes,
        failed=[outcome for outcome in outcomes if not outcome.passed],
        devices=list({outcome.device.name: outcome.device for outcome in outcomes}.values()),
        files=list(dict.fromkeys(outcome.file for outcome in outcomes)),
        by_place={(outcome.file, outcome.device.name): outcome for outcome in outcomes},
    )
    return (page + "\n").encode()
