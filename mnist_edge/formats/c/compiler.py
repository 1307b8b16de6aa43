"""A C compiler of the machine: `cc`, or zig's, which `pip install 'mnist-edge[mcu]'` brings."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError

SECONDS = 600
"""Most time for one compilation."""


def host_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler for this machine: `$CC`, `cc`, or zig's.

    Raises:
        ArtifactError: there is none.
    """
    named = os.environ.get("CC", "cc").split()
    if named and (found := shutil.which(named[0])):
        return (found, *named[1:])
    return zig()


def zig() -> tuple[str, ...]:
    """Return the command of zig's C compiler; raises `ArtifactError` where it is not installed."""
    if importlib.util.find_spec("ziglang") is None:
        raise ArtifactError("there is no C compiler: install one as cc, or pip install 'mnist-edge[mcu]'")
    return (sys.executable, "-m", "ziglang", "cc")


def template(name: str) -> str:
    """Return a source file of the package."""
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def compile_c(command: Sequence[str], folder: Path) -> None:
    """Run a compiler in a folder; raises `ArtifactError` with its first complaint where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a compiler, on sources that were written here
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtifactError(f"{command[0]} could not be run ({one_line(error)})") from error
    if done.returncode:
        lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        complaint = next((line for line in lines if "error" in line), lines[0])
        raise ArtifactError(f"{Path(command[0]).name} cannot compile it ({one_line(ValueError(complaint))})")


def _environment() -> dict[str, str]:
    """Return the environment in which zig keeps what it compiled once in the user's cache, not in the folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    zig_cache = str(Path(cache) / "mnist-edge" / "zig")
    return {"ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache, **os.environ}


@lru_cache(maxsize=16)
def host_library(header: str, prefix: str, flags: tuple[str, ...] = ("-O3",)) -> ctypes.CDLL:
    """Return a header, compiled for this machine and loaded; once for each header.

    Args:
        header: C that was written here.
        prefix: of its names.
        flags: for the compiler.

    Raises:
        ArtifactError: there is no compiler, or it fails.
    """
    # Windows does not remove a library that is loaded: there it stays in the folder for temporary files
    with tempfile.TemporaryDirectory(prefix="mnist-edge-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "net.h").write_text(header, encoding="utf-8")
        (folder / "host.c").write_text(named(template("host.c"), prefix), encoding="utf-8")
        command = [*host_compiler(), "-std=c99", *flags, "-fPIC", "-shared", "-o", "net.so", "host.c"]
        compile_c(command, folder)
        return ctypes.CDLL(str(folder / "net.so"))


def named(source: str, prefix: str) -> str:
    """Return C with a header's names in place of `net_` and `NET_`."""
    return source.replace("NET_", f"{prefix.upper()}_").replace("net_", f"{prefix}_")
