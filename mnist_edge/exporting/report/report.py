"""The full report on an exported file: the verdict, every statistic, and what was examined beside the test images."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.errors import UserError
from mnist_edge.parity.evaluate import OpenModel
from mnist_edge.formats.base import ArtefactError
from mnist_edge.parity.layerwise import LayerReport, examine_layers
from mnist_edge.parity.comparison import ParityReport, Reference, shortfalls
from mnist_edge.parity.statistics import Share, Statistics, absolute_errors, statistics
from mnist_edge.parity.checks import Check, sample_of, stress
from mnist_edge.parity.verify import Judged, verify_closely


@dataclass(frozen=True)
class Report:
    """What is known of one file: truthy when it passed.

    Attributes:
        path: the file.
        parity: the verdict on its answers to the test images.
        checks: each thing that was examined, with its outcome.
        statistics: of its answers to all test images, or None where it could not be run.
        layers: the error of each layer, or None where it was not asked for or can't be shown.
        hidden_layers: why the layers can't be shown, empty where they can or need not.
        errors: |Δlogit| of all images, `[N, 10]`, or None.
    """

    path: Path
    parity: ParityReport
    checks: tuple[Check, ...]
    statistics: Statistics | None
    layers: LayerReport | None = None
    hidden_layers: str = ""
    errors: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each way in which it failed."""
        further = [problem for check in self.checks for problem in check.problems]
        return tuple(dict.fromkeys((*self.parity.problems, *further)))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        checks = [
            {"name": check.name, "verdict": check.verdict, "found": check.found, "problems": list(check.problems)}
            for check in self.checks
        ]
        return {
            **self.parity.to_json(),
            "passed": bool(self),
            "problems": list(self.problems),
            "statistics": self.statistics.to_json() if self.statistics else None,
            "checks": checks,
            "layers": self.layers.to_json() if self.layers is not None else None,
        }

    def figures(self) -> dict[str, str]:
        """Return the statistics by name as people read them, empty where the file could not be run."""
        found = self.statistics
        if found is None:
            return {}
        smallest = found.smallest
        return {
            "largest |Δlogit|": f"{found.max_error:.3g}",
            "99.9th percentile of |Δlogit|": f"{found.p999_error:.3g}",
            "mean |Δlogit|": f"{found.mean_error:.3g}",
            "SQNR": "∞" if found.sqnr == math.inf else f"{found.sqnr:.1f} dB",
            "KL divergence, mean": f"{found.mean_divergence:.2g} nats",
            "KL divergence, largest": f"{found.max_divergence:.2g} nats",
            "same answers": f"{found.agreement.value:.2%}",
            "accuracy": f"{found.accuracy.value:.2%}",
            "accuracy, 95 % interval": _interval(found.accuracy),
            "trained model": f"{found.reference_accuracy.value:.2%}",
            "trained model, 95 % interval": _interval(found.reference_accuracy),
            "right answers lost, gained": f"{found.mcnemar.lost:,}, {found.mcnemar.gained:,}",
            "McNemar's exact test": f"p = {found.mcnemar.p_value:.2g}" if found.mcnemar.p_value else "p < 1e-300",
            "would pass: |Δlogit| up to": f"{smallest.max_error:.3g}",
            "would pass: same answers from": f"{smallest.min_agreement:.2%}",
            "would pass: accuracy lower by": f"{100 * smallest.max_accuracy_drop:.2f} points",
        }


def _interval(share: Share) -> str:
    return f"{share.interval[0]:.2%} – {share.interval[1]:.2%}"


def full_report(path: Path, reference: Reference, *, thorough: bool = False) -> Report:
    """Examine an exported file.

    All images are compared at the batch size at which the file is deployed. At the others, and in shuffled batches,
    it is a sample of them, so that the whole takes at most three times as long as evaluating the file; or all of
    them where it shall be `thorough`.

    Raises:
        UserError: the file can't be read, or its format can't be told.
    """
    sample = reference if thorough else sample_of(reference)
    judged = verify_closely(path, reference, sample)
    checks = _judged_checks(judged, sample)
    if judged.loaded is None or judged.report.tolerance is None or judged.logits is None:
        return Report(path, judged.report, tuple(checks), None)
    try:
        model = OpenModel(path, judged.loaded.predict, 1, reference.checkpoint.temperature)
        checks += stress(model, judged.report.tolerance, reference, sample)
    except ArtefactError as error:
        checks.append(Check("other inputs", "cannot be run", (str(error),)))
    return Report(
        path=path,
        parity=judged.report,
        checks=tuple(checks),
        statistics=statistics(reference.logits, judged.logits, reference.labels, model.temperature),
        errors=absolute_errors(reference.logits, judged.logits),
    )


def report_on(path: Path, reference: Reference, *, thorough: bool = False) -> Report:
    """Examine an exported file as `full_report` does; one that can't be read, or is none, fails for that reason."""
    try:
        return full_report(path, reference, thorough=thorough)
    except UserError as error:
        problems = (str(error),)
        parity = ParityReport(len(reference.images), None, reference.accuracy, (), problems)
        return Report(path, parity, (Check("file", "cannot be used", problems),), None)


def with_layers(report: Report, reference: Reference) -> Report:
    """Return the report with the error of each layer, or with the reason why that can't be shown."""
    if report.parity.tolerance is None:
        return dataclasses.replace(report, hidden_layers="it cannot be run")
    sample, batch = sample_of(reference), report.parity.tolerance.batches[-1]
    try:
        layers = examine_layers(report.path, reference.checkpoint.build(), sample.images, batch)
    except ArtefactError as error:
        return dataclasses.replace(report, hidden_layers=str(error))
    hidden = "" if layers is not None else f"files ending in {report.path.suffix} do not show values between layers"
    return dataclasses.replace(report, layers=layers, hidden_layers=hidden)


def _judged_checks(judged: Judged, sample: Reference) -> list[Check]:
    """Return the verdict's problems sorted by what they are about."""
    report = judged.report
    outcome = "cannot be run" if judged.loaded is None else "not as expected" if judged.defects else "as expected"
    checks = [Check("file", outcome, judged.defects)]
    for comparison in report.comparisons:
        assert report.tolerance is not None, "what was compared was judged by a tolerance"
        accuracy = sample.accuracy if comparison.part else report.reference_accuracy
        lines = tuple(shortfalls(comparison, report.tolerance, accuracy))
        found = f"|Δlogit| ≤ {comparison.max_error:.3g}, {comparison.agreement:.2%} of {comparison.images:,} same"
        checks.append(Check(f"batch {comparison.batch:,}", found, lines))
    told = {line for check in checks for line in check.problems}
    rest = tuple(line for line in report.problems if line not in told)
    return [*checks, Check("other batches", "cannot be run", rest)] if rest else checks
