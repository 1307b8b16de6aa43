"""A report made up for a test, and the environment it was made in."""

from datetime import UTC, datetime
from pathlib import Path

from mnist_edge.exporting.report.environment import Environment
from mnist_edge.parity.checks import Check
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.statistics import Statistics

ENVIRONMENT = Environment(
    made=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    system="Linux on x86_64",
    processor="A processor, AVX2",
    versions={"Python": "3.11.7", "torch": "2.14.1"},
)


def failed_report(text: str, statistics: Statistics | None = None, path: Path | None = None) -> ParityReport:
    """Return a report on a file that failed, whose path and messages are this text."""
    check = Check("loads", "file", text, (text,))
    found = statistics
    figures = found and (found.max_abs_diff, found.mean_abs_diff, found.agreement.value, found.accuracy.value)
    comparisons = (Comparison(1, *figures, images=1),) if figures else ()
    path = path or Path(text or "a")
    return ParityReport(path, 0, "", 1, 1.0, (check,), comparisons=comparisons, statistics=statistics)
