"""An artifact in its own runtime on an emulated 64-bit ARM processor under Linux: QEMU, and the packages built for ARM.

What is needed lies in a folder, a small root file system with Python and the packages, which
`examples/arm64/prepare.sh` makes from a distribution's packages: nothing is downloaded here.
"""

import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

import mnist_edge
from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.device_run import DeviceRun
from mnist_edge.types import Images

ROOT_VARIABLE = "MNIST_EDGE_ARM64_ROOT"
"""The environment variable that names the folder."""

CPU = "cortex-a76"
"""The processor, that of a Raspberry Pi 5. QEMU's `max` is one that nobody has; libraries take other kernels for it."""

SECONDS = 600.0
"""Most time of a run: 10,000 images take half a minute."""

_EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
_PYTHON, _PACKAGES = "usr/bin/python3", "site"
_CPUINFO = "proc/cpuinfo"
"""QEMU shows the host's, in which ARM packages find no feature that they know: the folder has one of its own."""


def unavailable() -> str:
    """Return why nothing can be run here, and how to mend that; empty where it can."""
    if _emulator() is None:
        return "qemu-aarch64 is not installed; apt install qemu-user"
    root = os.environ.get(ROOT_VARIABLE)
    if not root:
        return f"{ROOT_VARIABLE} does not name a folder that examples/arm64/prepare.sh has made"
    missing = [name for name in (_PYTHON, _PACKAGES, _CPUINFO) if not (Path(root) / name).exists()]
    return f"{root} has no {missing[0]}; make it with examples/arm64/prepare.sh" if missing else ""


def run_on(format: str, bundle: Bundle, name: str, images: Images) -> DeviceRun:
    """Run an artifact, one image at a time; see `mnist_edge.formats.device_run.DevicesModule`.

    Args:
        format: a key of `FORMATS`.
        bundle: the artifact.
        name: of the device.
        images: float32 `[N, channels, height, width]`.

    Raises:
        ArtifactError: it can't be run there.
        UserError: the emulator or the packages are missing.
    """
    if reason := unavailable():
        raise UserError(f"cannot emulate {name}: {reason}")
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as folder:
        artifact, given, found = (Path(folder) / each for each in ("artifact", "images.npy", "logits.npy"))
        _write(bundle, artifact)
        np.save(given, images)
        command = [*_command(), "-m", "mnist_edge.formats.answer", format, str(artifact), str(given), str(found)]
        try:
            done = subprocess.run(command, env=_environment(), capture_output=True, timeout=SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise ArtifactError(f"it took more than {SECONDS:g} seconds") from error
        if done.returncode != 0:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise ArtifactError(f"it ended with {done.returncode} ({one_line(RuntimeError(said))})")
        logits = np.load(found, allow_pickle=False)
    return DeviceRun(name, f"64-bit ARM under Linux ({CPU})", f"{_version()} -cpu {CPU}", logits)


def _write(bundle: Bundle, path: Path) -> None:
    if bundle.folder:
        path.mkdir()
    for name, data in bundle.files.items():
        (path / name if bundle.folder else path.with_name(path.name + name)).write_bytes(data)


def _emulator() -> str | None:
    return next((found for name in _EMULATORS if (found := shutil.which(name))), None)


def _command() -> list[str]:
    root = Path(os.environ[ROOT_VARIABLE])
    return [_emulator() or _EMULATORS[0], "-L", str(root), "-cpu", CPU, str(root / _PYTHON)]


def _environment() -> dict[str, str]:
    packages = Path(os.environ[ROOT_VARIABLE]) / _PACKAGES
    sources = Path(mnist_edge.__file__).parent.parent
    return {"PYTHONPATH": f"{packages}{os.pathsep}{sources}", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


@lru_cache(maxsize=1)
def _version() -> str:
    done = subprocess.run([_command()[0], "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return " ".join(done.stdout.split()[:3])
