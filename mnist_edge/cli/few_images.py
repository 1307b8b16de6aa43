"""A note on files whose proof rests on few images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_edge.cli.output import note
from mnist_edge.percent import percent_up

if TYPE_CHECKING:
    from mnist_edge.parity.parity_report import ParityReport


def note_few_images(reports: "Sequence[ParityReport]") -> None:
    """Say on stderr which files may change answers, but were judged on so few images that one is more than they may."""
    few: dict[int, list[str]] = {}
    for report in reports:
        tolerance = report.tolerance
        if tolerance and tolerance.min_agreement < 1 and not tolerance.lets_one_be_lost(report.images):
            few.setdefault(report.images, []).append(report.path.name)
    for images, names in few.items():
        note(
            f"{', '.join(names)}: of {images:,} test images, one answer is {percent_up(1 / images)}%, which is more "
            "than may be lost: add test images for a stronger proof"
        )
