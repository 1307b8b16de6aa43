"""`mnist-edge selfcheck`: test vectors in, a verdict on this device out. Needs only the runner's packages."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import edge, options
from mnist_edge.cli.output import note, say, say_json, say_wrapped

if TYPE_CHECKING:
    from mnist_edge.runtime.selfcheck import SelfCheck


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@options.as_json
@edge.read_to_the_end()
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Run the test vectors that each exported FILE carries, on this processor with the runtime installed here.

    A folder stands for what its manifest.json lists. Without a FILE, the built-in models are checked. A file that
    gives other numbers here than it must fails: the exit code is 1.
    """
    from mnist_edge.cli.artifacts import expand
    from mnist_edge.runtime.builtin_models import BUILTIN_MODELS

    paths = expand(files) or list(BUILTIN_MODELS.values())
    machine, verdicts, failed = _machine(paths), [], False
    if not as_json:
        _print_machine(machine)
    for path in paths:
        check, problem = _checked(path)
        verdict = {"file": str(path), "passed": False, "problem": problem} if check is None else check.to_json()
        verdicts.append({**verdict, "format": _format(path)})
        failed |= bool(problem)
        if not as_json:
            _print_verdict(path, check)
        if problem:
            note(problem)
    if as_json:
        say_json({"machine": machine, "checks": verdicts})
    if failed:
        sys.exit(1)


def _checked(path: Path) -> "tuple[SelfCheck | None, str]":
    """Return the verdict on a file, or None where it can't be checked, and what is wrong with it, if anything."""
    from mnist_edge.errors import UserError
    from mnist_edge.runtime.selfcheck import selfcheck_path

    try:
        check = selfcheck_path(path)
    except UserError as error:
        return None, str(error)
    if check:
        return check, ""
    return check, (
        f"{path}: this machine gives other numbers than the file's operators define: "
        "do not use it here; export again, or install another version of the runtime"
    )


def _format(path: Path) -> str | None:
    """Return the format of a file by its name, or None where no format has that suffix."""
    from mnist_edge.errors import UnknownFormatError
    from mnist_edge.formats.registry import format_of

    try:
        return format_of(path).name
    except UnknownFormatError:
        return None


def _machine(paths: Sequence[Path]) -> dict[str, object]:
    """Return what this machine is, and the versions of what runs files of these names here."""
    import platform

    from mnist_edge import __version__
    from mnist_edge.runtime.cpu import cpu_features, processor_name

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor_name(),
        "features": cpu_features(),
        "versions": {"mnist-edge": __version__, **_versions(paths)},
    }


def _versions(paths: Sequence[Path]) -> dict[str, str]:
    """Return the versions of the packages that are installed of those that run files of these names, by name."""
    from importlib.metadata import PackageNotFoundError, version

    from mnist_edge.formats.registry import FORMATS

    specs = [FORMATS[name] for name in dict.fromkeys(map(_format, paths)) if name is not None]
    packages = dict.fromkeys(["onnxruntime", "numpy", *(package for spec in specs for package in spec.run_packages)])
    found = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):  # a processor may have no onnxruntime
            found[name] = version(name)
    return found


def _print_machine(machine: dict[str, object]) -> None:
    features, versions = machine["features"], machine["versions"]
    assert isinstance(versions, dict)
    known = "features unknown"
    if isinstance(features, dict):
        known = ", ".join(f"{name} {'yes' if has else 'no'}" for name, has in features.items())
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    say_wrapped(f"{machine['system']} on {machine['architecture']}: {known}")
    say_wrapped(packages)
    say()


def _print_verdict(path: Path, check: "SelfCheck | None") -> None:
    say_wrapped(f"{path}: {'passed' if check else 'FAILED'}")
    if check is None:
        return
    say_wrapped(
        f"  must give:     largest |Δlogit| {check.max_abs_diff:.2g}, allowed {check.bound:g}; "
        f"top-1 agreement {check.agreement} of {check.images}"
    )
    say_wrapped(
        f"  trained model: largest |Δlogit| {check.trained_max_abs_diff:.2g}; "
        f"top-1 agreement {check.trained_agreement} of {check.images}"
    )
    if check.latency is not None:
        say_wrapped(f"  one image:     {check.latency * 1e6:,.1f} µs")
