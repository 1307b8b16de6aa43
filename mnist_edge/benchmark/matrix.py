"""The device matrix: what `mnist-edge selfcheck --json` said on many machines, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from mnist_edge.artifact.fields import one_line, parse_object, take_list, take_number, take_object, take_text
from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes


@dataclass(frozen=True)
class Device:
    """A machine that checked files.

    Attributes:
        name: of the report's file, without its suffix.
        system: operating system.
        architecture: of the processor.
        processor: what it is called.
        versions: of the packages that ran the files.
    """

    name: str
    system: str
    architecture: str
    processor: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a file gave on a device.

    Attributes:
        device: which one.
        file: its name, without folders.
        format: of the file; empty where it has none that is known.
        passed: the verdict.
        problem: why it could not be checked; empty where it could.
        max_abs_diff: largest |Δlogit| from what it must give; None where it is not finite or not known.
        latency: seconds of one image; None where it was not measured.
    """

    device: Device
    file: str
    format: str
    passed: bool
    problem: str = ""
    max_abs_diff: float | None = None
    latency: float | None = None

    @property
    def verdict(self) -> str:
        """The verdict in a word, or why there is none."""
        return "passed" if self.passed else self.problem or "FAILED"

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {
            "device": self.device.name,
            "system": self.device.system,
            "architecture": self.device.architecture,
            "processor": self.device.processor,
            "versions": dict(self.device.versions),
            "file": self.file,
            "format": self.format,
            "passed": self.passed,
            "problem": self.problem,
            "max_abs_diff": self.max_abs_diff,
            "latency_seconds": self.latency,
        }


def read_reports(paths: Sequence[Path]) -> list[Outcome]:
    """Return the outcomes in reports, in their order.

    Raises:
        UserError: one can't be read, is not what `selfcheck --json` prints of at least one file, or two have the same
            name.
    """
    names = [path.stem for path in paths]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two reports are called {twice!r}, which is what their devices are called: rename one")
    return [outcome for path in paths for outcome in _read(path)]


def _read(path: Path) -> list[Outcome]:
    data = read_bytes(path)
    try:
        report = parse_object(data)
        machine = take_object(report, "machine")
        device = Device(
            path.stem,
            take_text(machine, "system"),
            take_text(machine, "architecture"),
            take_text(machine, "processor"),
            {name: take_text(take_object(machine, "versions"), name) for name in take_object(machine, "versions")},
        )
        checks = take_list(report, "checks")
        if not checks:
            raise ValueError("it has no verdict on any file")
        return [_outcome(device, check) for check in checks]
    except ValueError as error:
        raise UserError(
            f"cannot understand {path} ({one_line(error)}): expected what `mnist-edge selfcheck --json` prints"
        ) from error


def _outcome(device: Device, check: object) -> Outcome:
    if not isinstance(check, dict) or not isinstance(check.get("passed"), bool):
        raise ValueError("a check has no verdict")
    return Outcome(
        device=device,
        file=PurePosixPath(PureWindowsPath(take_text(check, "file")).as_posix()).name,
        format=_text(check, "format"),
        passed=check["passed"],
        problem=_text(check, "problem"),
        max_abs_diff=_number(check, "max_abs_diff"),
        latency=_number(check, "latency_seconds"),
    )


def _text(check: Mapping[str, Any], name: str) -> str:
    return "" if check.get(name) is None else take_text(check, name)


def _number(check: Mapping[str, Any], name: str) -> float | None:
    return None if check.get(name) is None else take_number(check, name)
