"""Answers that were recorded, and whether an artifact gives worse ones: McNemar's test on the same images."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from scipy.special import betaincinv

from mnist_edge.artifact.fields import check_object, one_line, parse_json, take, take_list, take_object, take_text
from mnist_edge.errors import UserError
from mnist_edge.parity.checks import Check
from mnist_edge.parity.recorded_answers import RecordedAnswers
from mnist_edge.parity.statistics import McNemar, mcnemar
from mnist_edge.reading import read_bytes
from mnist_edge.types import BoolMask, Labels

MAX_NAMED = 10
"""Images and labels that a message names; JSON has all of them."""


@dataclass(frozen=True)
class BaselineEntry:
    """A recorded report on one artifact.

    Attributes:
        file: name of the artifact, without its folder.
        passed: whether it matched its trained model.
        answers: to the test images, or None where not all of them were compared.
    """

    file: str
    passed: bool
    answers: RecordedAnswers | None


@dataclass(frozen=True)
class Baseline:
    """Reports that were recorded.

    Attributes:
        path: the file that holds them.
        entries: by the name of the artifact.
        ambiguous: names of artifacts on which there are several reports, which differ; they have no entry.
    """

    path: Path
    entries: Mapping[str, BaselineEntry]
    ambiguous: tuple[str, ...] = ()

    def entry(self, name: str, test_set: str, images: int) -> BaselineEntry:
        """Return the report on the artifact of that name, or else the only one there is.

        Raises:
            UserError: there are none, or several and none or more than one of that name, or the artifact failed, or the
                answers are to other test images than those with that digest, or to another number of them.
        """
        if name in self.ambiguous:
            raise UserError(f"{self.path} has two different reports on {name}: record one of them by itself")
        only = next(iter(self.entries.values())) if len(self.entries) == 1 and not self.ambiguous else None
        found = self.entries.get(name) or only
        if found is None:
            names = ", ".join((*self.entries, *self.ambiguous)) or "nothing"
            raise UserError(f"{self.path} has no report on {name}, only on {names}: name the one that it belongs to")
        if not found.passed:
            raise UserError(f"{self.path} says that {found.file} failed: record a report on one that passed")
        if found.answers and found.answers.test_set != test_set:
            raise UserError(
                f"{self.path} was recorded on other test images (sha256:{found.answers.test_set[:12]}) than these "
                f"(sha256:{test_set[:12]}): record it again on these"
            )
        if found.answers and found.answers.images != images:
            raise UserError(
                f"{self.path} has answers to {found.answers.images:,} images under the digest of these {images:,}: "
                "record it again"
            )
        return found


def read_baseline(path: Path) -> Baseline:
    """Read what `verify --json` or `export --json` printed, or the manifest of a folder of exports.

    Raises:
        UserError: the file can't be read, or is something else.
    """
    data = read_bytes(path)
    try:
        value = parse_json(data)
        reports = value if isinstance(value, dict) else {"artifacts": value}
        entries = [_entry(report) for report in take_list(reports, "artifacts")]
    except ValueError as error:
        raise UserError(
            f"{path} is not a report of mnist-edge ({one_line(error)}): record one with "
            "`mnist-edge verify --json`, or name the manifest.json of an export"
        ) from error
    by_name: dict[str, BaselineEntry] = {}
    ambiguous = dict.fromkeys(entry.file for entry in entries if by_name.setdefault(entry.file, entry) != entry)
    unambiguous = {name: entry for name, entry in by_name.items() if name not in ambiguous}
    return Baseline(path, unambiguous, tuple(ambiguous))


def _entry(fields: object) -> BaselineEntry:
    """Return what is needed of an entry of a manifest, or of a report."""
    entry = check_object(fields, "an entry")
    report = take_object(entry, "parity") if "parity" in entry else entry
    answers = take(report, "answers")
    return BaselineEntry(
        file=PurePath(take_text(entry, "file")).name,
        passed=take(report, "passed") is True,
        answers=None if answers is None else RecordedAnswers.from_fields(check_object(answers, "answers")),
    )


@dataclass(frozen=True)
class ClassChange:
    """The images of one class whose answers became wrong or right.

    Attributes:
        label: of the class.
        images: of the class.
        lost: how many were answered correctly and no longer are.
        gained: how many are answered correctly and were not.
    """

    label: str
    images: int
    lost: int
    gained: int


@dataclass(frozen=True)
class BaselineComparison:
    """An artifact's answers against recorded ones to the same images: truthy unless it is worse beyond chance.

    Attributes:
        baseline: name of the file whose answers were recorded.
        images: how many there are.
        mcnemar: the test whether correct answers are lost as often as they are gained.
        interval: the 95 % interval of the change of the accuracy, in [-1, 1]; below 0 it became worse.
        lost: indices of the images that were answered correctly and no longer are.
        gained: the other way round.
        classes: those in which something changed, the one with the most losses first.
    """

    baseline: str
    images: int
    mcnemar: McNemar
    interval: tuple[float, float]
    lost: tuple[int, ...]
    gained: tuple[int, ...]
    classes: tuple[ClassChange, ...]

    def __bool__(self) -> bool:
        """Say whether it is as good, but for chance."""
        return self.interval[1] >= 0

    @property
    def change(self) -> float:
        """By how much the accuracy is higher, in [-1, 1]."""
        return (self.mcnemar.gained - self.mcnemar.lost) / self.images

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return {
            "file": self.baseline,
            "images": self.images,
            "accuracy_change": self.change,
            "interval_95": list(self.interval),
            "mcnemar": dataclasses.asdict(self.mcnemar),
            "lost": list(self.lost),
            "gained": list(self.gained),
            "classes": [dataclasses.asdict(change) for change in self.classes],
        }


def compare_with_baseline(
    entry: BaselineEntry, answers: RecordedAnswers, labels: Labels, texts: Sequence[str]
) -> BaselineComparison | None:
    """Compare an artifact's answers with the recorded ones; None where not all of those were recorded.

    Args:
        entry: what was recorded, on the same images.
        answers: of the artifact.
        labels: class indices of the test images, int64 `[N]`.
        texts: what each of them stands for.
    """
    if entry.answers is None:
        return None
    before, after = entry.answers.right, answers.right
    lost, gained = before & ~after, after & ~before
    return BaselineComparison(
        baseline=entry.file,
        images=answers.images,
        mcnemar=mcnemar(before, after),
        interval=paired_interval(int(lost.sum()), int(gained.sum()), answers.images),
        lost=tuple(np.flatnonzero(lost).tolist()),
        gained=tuple(np.flatnonzero(gained).tolist()),
        classes=_classes(lost, gained, labels, texts),
    )


def paired_interval(lost: int, gained: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of the change of an accuracy measured twice on the same images, in [-1, 1].

    It is the exact interval (Clopper and Pearson 1934) of the share of losses among the answers that changed, so that
    it leaves out 0 where McNemar's exact test has p < 0.05: the conditional interval of Fagerland, Lydersen and Laake,
    *Recommended tests and confidence intervals for paired binomial proportions* (2014).
    """
    changed = lost + gained
    if not changed:
        return 0.0, 0.0
    least = float(betaincinv(lost, gained + 1, 0.025)) if lost else 0.0
    most = float(betaincinv(lost + 1, gained, 0.975)) if gained else 1.0
    return (1 - 2 * most) * changed / images, (1 - 2 * least) * changed / images


def _classes(lost: BoolMask, gained: BoolMask, labels: Labels, texts: Sequence[str]) -> tuple[ClassChange, ...]:
    totals, losses, gains = (
        np.bincount(labels[chosen], minlength=len(texts)) for chosen in (labels >= 0, lost, gained)
    )
    order = np.lexsort((gains, -losses))
    return tuple(
        ClassChange(texts[index], int(totals[index]), int(losses[index]), int(gains[index]))
        for index in order
        if losses[index] or gains[index]
    )


def check_baseline(found: BaselineComparison, path: Path) -> Check:
    """Return the check that an artifact is no worse than what was recorded in the file at `path`."""
    low, high = (100 * end for end in found.interval)
    lost, gained = found.mcnemar.lost, found.mcnemar.gained
    classes = [f"{change.label} ({change.lost:,})" for change in found.classes if change.lost]
    points = f"{100 * found.change:+.2f} points (95 %: {low:+.2f} to {high:+.2f})"
    problem = (
        f"it is worse than {found.baseline} in {path}: accuracy {points}, {lost:,} correct answers lost and "
        f"{gained:,} gained, McNemar's p = {found.mcnemar.p_value:.2g}; "
        f"most lost of label {_listed(classes)}; lost images {_listed(list(map(str, found.lost)))}"
    )
    return Check(
        code="baseline",
        title="baseline",
        found=f"accuracy {points}, {lost:,} lost, {gained:,} gained",
        problems=() if found else (problem,),
        figures={
            "accuracy_change": found.change,
            "lost": lost,
            "gained": gained,
            "p_value": found.mcnemar.p_value,
        },
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
