"""Measuring artifacts side by side: each in a fresh process, on one thread, in turns. Needs the runner alone."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_edge.benchmark.answers import Answers, recorded_answers
from mnist_edge.benchmark.install_size import install_size
from mnist_edge.benchmark.probe import READY
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.device_run import FirmwareRun
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.runtime.cpu import cpu_features, processor_name
from mnist_edge.types import Images

ROUNDS = 3
"""How often each artifact is measured."""

SECONDS = 0.3
"""How long calls are repeated in each round."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Figure:
    """A figure that was measured in several rounds.

    Attributes:
        median: of the rounds.
        least: of them.
        most: of them.
    """

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> "Figure":
        """Return the figure of its rounds, at least one."""
        return cls(statistics.median(rounds), min(rounds), max(rounds))

    def to_json(self) -> dict[str, float]:
        """Return the figure as JSON types."""
        return {"median": self.median, "min": self.least, "max": self.most}


@dataclass(frozen=True)
class DeviceCosts:
    """What an artifact takes on an emulated device.

    Attributes:
        target: name of the device.
        flash: bytes of code and numbers.
        ram: bytes that are written to, with the stack.
        instructions: of an image, the median.
    """

    target: str
    flash: int
    ram: int
    instructions: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        return {"target": self.target, "flash": self.flash, "ram": self.ram, "instructions": self.instructions}


@dataclass(frozen=True)
class Costs:
    """What an artifact costs on this machine.

    Attributes:
        path: where it is.
        format: a key of `FORMATS`.
        precision: as its contract says.
        scheme: the same.
        task: name of what it tells apart.
        size: in bytes.
        answers: how right it is; None where that is not known.
        cold_start: seconds from the start of a process, imports included, to its first answer.
        latency: seconds of a call with one image: the median of a round's calls.
        latency_p99: the same of the 99th percentile.
        throughput: images a second, in the largest batches that it is proved for.
        batch: images of such a batch.
        memory: bytes, the most that its process and the sandbox have taken; None where the system does not say.
        runtime_size: bytes of the packages that run it here.
        devices: what it takes on emulated devices.
    """

    path: Path
    format: str
    precision: str
    scheme: str
    task: str
    size: int
    answers: Answers | None
    cold_start: Figure
    latency: Figure
    latency_p99: Figure
    throughput: Figure
    batch: int
    memory: Figure | None
    runtime_size: int
    devices: tuple[DeviceCosts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types: seconds, bytes, images a second."""
        return {
            "file": str(self.path),
            "format": self.format,
            "precision": self.precision,
            "scheme": self.scheme,
            "task": self.task,
            "bytes": self.size,
            "answers": self.answers.to_json() if self.answers else None,
            "cold_start_seconds": self.cold_start.to_json(),
            "latency_seconds": self.latency.to_json(),
            "latency_p99_seconds": self.latency_p99.to_json(),
            "images_per_second": {**self.throughput.to_json(), "batch": self.batch},
            "peak_memory_bytes": self.memory.to_json() if self.memory else None,
            "runtime_bytes": self.runtime_size,
            "devices": [device.to_json() for device in self.devices],
        }


@dataclass
class _Rounds:
    """What the rounds of one artifact gave."""

    cold_start: list[float] = field(default_factory=list)
    reports: list[Mapping[str, Any]] = field(default_factory=list)

    def of(self, name: str) -> Figure:
        return Figure.of([report[name] for report in self.reports])


def measure(
    paths: Sequence[Path],
    *,
    rounds: int = ROUNDS,
    targets: Sequence[str] = (),
    answers_of: Callable[[Path], Answers | None] = lambda _: None,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Costs]:
    """Return what artifacts cost, measured in turns, so that what else the machine does hits all of them.

    Args:
        paths: of the artifacts.
        rounds: how often each is measured.
        targets: emulated devices, for the formats that have them.
        answers_of: finds out how right an artifact is of which no manifest says that.
        on_step: is called with what is done next.

    Raises:
        UserError: one can't be read or run.
    """
    artifacts = [read_artifact(path) for path in paths]
    found = [_Rounds() for _ in artifacts]
    for number in range(rounds):
        for artifact, gathered in zip(artifacts, found, strict=True):
            on_step(f"{artifact.path.name}: round {number + 1} of {rounds}")
            cold_start, report = _run(artifact.path)
            gathered.cold_start.append(cold_start)
            gathered.reports.append(report)
    results = []
    for artifact, gathered in zip(artifacts, found, strict=True):
        on_step(f"{artifact.path.name}: its answers")
        results.append(_costs(artifact, gathered, targets, answers_of))
    return results


def _costs(
    artifact: ArtifactFile,
    gathered: _Rounds,
    targets: Sequence[str],
    answers_of: Callable[[Path], Answers | None],
) -> Costs:
    peaks = [report["peak_kib"] for report in gathered.reports]
    with open_artifact(artifact) as runner:
        contract = runner.contract
        images = runner.test_vectors.inputs
    return Costs(
        path=artifact.path,
        format=artifact.spec.name,
        precision=contract.precision,
        scheme=contract.scheme,
        task=contract.task.name,
        size=artifact.bundle.size,
        answers=recorded_answers(artifact.path, artifact.bundle.digest) or answers_of(artifact.path),
        cold_start=Figure.of(gathered.cold_start),
        latency=gathered.of("median"),
        latency_p99=gathered.of("p99"),
        throughput=gathered.of("images_per_second"),
        batch=gathered.reports[0]["batch"],
        memory=None if None in peaks else Figure.of([peak * 1024 for peak in peaks]),
        runtime_size=install_size(artifact.spec.run_packages),
        devices=tuple(filter(None, (_device_costs(artifact, target, images) for target in targets))),
    )


def _device_costs(artifact: ArtifactFile, target: str, images: Images) -> DeviceCosts | None:
    """Return what an artifact takes on an emulated device that it has for itself; None where that is not one."""
    if target not in artifact.spec.targets:
        return None
    try:
        run = artifact.spec.devices().run_on(artifact.bundle, target, images)
    except ArtifactError as error:
        raise UserError(f"cannot run {artifact.path} on {target}: {error}") from error
    return DeviceCosts(target, run.flash, run.ram, run.instructions[1]) if isinstance(run, FirmwareRun) else None


def _run(path: Path) -> tuple[float, Mapping[str, Any]]:
    """Return the seconds to the first answer, and what a process measured of itself; raises `UserError`."""
    command = [sys.executable, "-m", "mnist_edge.benchmark.probe", str(path), str(SECONDS)]
    environment = {**os.environ, **_ONE_THREAD}
    with tempfile.TemporaryFile() as errors:  # not a pipe, which would fill while the first line is waited for
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - this interpreter, with a module of our own
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process:
            assert process.stdout is not None, "it is a pipe"
            first = process.stdout.readline()
            cold_start = time.perf_counter() - start
            rest, _ = process.communicate()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if process.returncode != 0 or first.strip() != READY:
        reason = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"cannot measure {path}: {reason}")
    report: Mapping[str, Any] = json.loads(rest)
    return cold_start, report


def machine() -> dict[str, Any]:
    """Return what this machine is, as JSON types."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "features": cpu_features(),
        "python": platform.python_version(),
    }
