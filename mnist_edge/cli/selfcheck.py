"""`mnist-edge selfcheck`: test vectors in, a verdict on this device out. Needs only the runner's packages."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options

if TYPE_CHECKING:
    from mnist_edge.runtime.selfcheck import SelfCheck


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@options.as_json
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Run the test vectors that each exported FILE carries, on this processor with the runtime installed here.

    Without a FILE, the model that `predict` would take and the built-in ones are checked. A file that gives other
    numbers here than it must fails: the exit code is 1.
    """
    from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, default_model

    machine, verdicts, failed = _machine(), [], False
    if not as_json:
        click.echo(_describe(machine))
    for path in files or dict.fromkeys([default_model(), *BUILTIN_MODELS.values()]):
        check, problem = _checked(path)
        verdicts.append({"file": str(path), "passed": False, "problem": problem} if check is None else check.to_json())
        failed |= bool(problem)
        if not as_json:
            click.echo(f"{path}: FAILED" if check is None else _line(check))
        if problem:
            click.echo(problem, err=True)
    if as_json:
        click.echo(json.dumps({"machine": machine, "checks": verdicts}, indent=2))
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


def _machine() -> dict[str, object]:
    import platform

    import numpy as np
    import onnxruntime

    from mnist_edge import __version__
    from mnist_edge.runtime.cpu import cpu_features

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "features": cpu_features(),
        "versions": {"mnist-edge": __version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
    }


def _describe(machine: dict[str, object]) -> str:
    features, versions = machine["features"], machine["versions"]
    assert isinstance(versions, dict)
    known = "features unknown"
    if isinstance(features, dict):
        known = ", ".join(f"{name} {'yes' if has else 'no'}" for name, has in features.items())
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['system']} on {machine['architecture']}: {known}\n{packages}\n"


def _line(check: "SelfCheck") -> str:
    return (
        f"{check.path}: {'passed' if check else 'FAILED'}\n"
        f"  must give:     largest |Δlogit| {check.max_abs_diff:.2g}, allowed {check.bound:g}; "
        f"top-1 agreement {check.agreement} of {check.images}\n"
        f"  trained model: largest |Δlogit| {check.trained_max_abs_diff:.2g}; "
        f"top-1 agreement {check.trained_agreement} of {check.images}"
    )
