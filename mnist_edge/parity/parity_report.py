"""The verdict on one artifact, with everything that it rests on."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.artifact.fields import json_numbers
from mnist_edge.formats.device_run import DeviceRun
from mnist_edge.formats.scheme import Tolerance
from mnist_edge.parity.baseline import BaselineComparison
from mnist_edge.parity.checks import Check
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.layerwise import LayerwiseReport
from mnist_edge.parity.recorded_answers import RecordedAnswers
from mnist_edge.parity.statistics import Statistics
from mnist_edge.parity.tolerance import RequiredTolerance, required_tolerance


@dataclass(frozen=True)
class ParityReport:
    """The verdict on one artifact: truthy when it passed.

    Attributes:
        path: where it is, or shall be.
        size: in bytes; 0 where it could not be read.
        sha256: its digest; empty where it could not be read.
        images: on how many images it is judged.
        reference_accuracy: the trained model's accuracy on them, in [0, 1].
        checks: everything that was checked; it passed if all of them did.
        tolerance: by which it was judged, or None where it could not be run.
        comparisons: the figures at each batch size.
        statistics: of its answers at the batch size at which they differ most, or None where it could not be run.
        differences: |Δlogit| at that batch size, `[N, classes]`, or None.
        answers: which images it answers wrongly at that batch size, or None where not all were compared.
        baseline: these against answers that were recorded earlier, or None where that was not asked for.
        layers: the error of each layer, or None where it was not asked for or is not available.
        layers_unavailable_reason: why there is no layerwise comparison; empty if there is one or none was requested,
            and where a check says that the file could not be read or is of another checkpoint.
        devices: what it gave and took on emulated devices, where that was asked for.
        seconds: how long it took to judge it.
    """

    path: Path
    size: int
    sha256: str
    images: int
    reference_accuracy: float
    checks: tuple[Check, ...]
    tolerance: Tolerance | None = None
    comparisons: tuple[Comparison, ...] = ()
    statistics: Statistics | None = None
    differences: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    answers: RecordedAnswers | None = field(default=None, repr=False)
    baseline: BaselineComparison | None = None
    layers: LayerwiseReport | None = None
    layers_unavailable_reason: str = ""
    devices: tuple[DeviceRun, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def __bool__(self) -> bool:
        """Say whether it passed."""
        return all(self.checks)

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each way in which it failed."""
        return tuple(problem for check in self.checks for problem in check.problems)

    @property
    def max_abs_diff(self) -> float | None:
        """Largest |Δlogit| over the batch sizes, or None where nothing was compared: the figure that is printed."""
        return max((comparison.max_abs_diff for comparison in self.comparisons), default=None)

    @property
    def agreement(self) -> float | None:
        """Least agreement over the batch sizes, or None where nothing was compared."""
        return min((comparison.agreement for comparison in self.comparisons), default=None)

    @property
    def accuracy(self) -> float | None:
        """Least accuracy over the batch sizes, or None where nothing was compared."""
        return min((comparison.accuracy for comparison in self.comparisons), default=None)

    @property
    def required(self) -> RequiredTolerance | None:
        """The tightest tolerance that would have passed, or None where nothing was compared."""
        return required_tolerance(self.comparisons, self.reference_accuracy) if self.comparisons else None

    def check(self, code: str) -> Check | None:
        """Return the check with that code, or None where it was not made."""
        return next((check for check in self.checks if check.code == code), None)

    def summary(self) -> dict[str, Any]:
        """Return the verdict and the figures it rests on as JSON types, without what only a full report needs."""
        return {
            "passed": bool(self),
            "images": self.images,
            "tolerance": asdict(self.tolerance) if self.tolerance else None,
            "reference_accuracy": self.reference_accuracy,
            **json_numbers({"max_abs_diff": self.max_abs_diff, "agreement": self.agreement, "accuracy": self.accuracy}),
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "answers": self.answers.to_json() if self.answers else None,
            "problems": list(self.problems),
            "devices": [self._device(run) for run in self.devices],
        }

    def _device(self, run: DeviceRun) -> dict[str, Any]:
        """Return the figures of a device with the outcome of its check as JSON types."""
        check = self.check(f"target_{run.target}")
        return {**run.to_json(), **(json_numbers(check.figures) if check else {})}

    def to_json(self) -> dict[str, Any]:
        """Return the whole report as JSON types."""
        return {
            "file": str(self.path),
            "bytes": self.size,
            "sha256": self.sha256,
            **self.summary(),
            "required_tolerance": json_numbers(asdict(self.required)) if self.required else None,
            "statistics": self.statistics.to_json() if self.statistics else None,
            "checks": [check.to_json() for check in self.checks],
            "baseline": self.baseline.to_json() if self.baseline is not None else None,
            "layers": self.layers.to_json() if self.layers is not None else None,
            "layers_unavailable_reason": self.layers_unavailable_reason,
        }
