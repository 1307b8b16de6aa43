"""Where and when a report was made, since verdicts hold for the machine and the versions that gave them."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from mnist_edge.runtime.cpu import cpu_features, processor_name
from mnist_edge.source_date import source_date

PACKAGES = ("mnist-edge", "torch", "onnx", "onnxruntime", "numpy", "pillow")
"""Packages whose version a verdict may depend on."""


@dataclass(frozen=True)
class Environment:
    """What a report says of the machine it was made on.

    Attributes:
        made: when, in UTC.
        system: the operating system, and the kind of processor it runs on.
        processor: its name, with the features that decide which kernels onnxruntime takes.
        versions: of Python and of the `PACKAGES` that are installed.
    """

    made: datetime
    system: str
    processor: str
    versions: Mapping[str, str]

    @classmethod
    def here(cls) -> "Environment":
        """Return this machine's, now, or when `SOURCE_DATE_EPOCH` says (reproducible-builds.org), in whole seconds.

        Raises:
            UserError: that is not a time.
        """
        return cls(
            made=source_date() or datetime.now(UTC).replace(microsecond=0),
            system=f"{platform.system()} on {platform.machine()}",
            processor=_processor(),
            versions={"Python": platform.python_version(), **_versions()},
        )


def _processor() -> str:
    features = [name for name, has in (cpu_features() or {}).items() if has]
    return f"{processor_name()}, {', '.join(features)}" if features else processor_name()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
