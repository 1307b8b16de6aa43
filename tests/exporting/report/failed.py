"""A report made up for a test."""

from pathlib import Path

from mnist_edge.parity.checks import Check
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.statistics import Statistics


def failed_report(text: str, statistics: Statistics | None = None, path: Path | None = None) -> ParityReport:
    """Return a report on a file that failed, whose path and messages are this text."""
    check = Check("loads", "file", text, (text,))
    return ParityReport(path or Path(text or "a"), 0, "", 1, 1.0, (check,), statistics=statistics)
