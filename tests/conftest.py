import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS
from tests import warm

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data"
RELEASES = {name: ROOT / "release" / f"mnist-{name}.safetensors" for name in ("mlp", "cnn")}
RELEASED = RELEASES["mlp"]

FIRST = Path("exporting", "report", "test_figures.py")
"""What it needs, many need, and would wait for: one process exports, verifies and damages while others run the rest."""

SLOWEST_FIRST = (
    "test_readme.py",
    "test_edge.py",
    "test_train.py",
    "test_accuracy_regression.py",
    "test_bombs.py",
    "test_cli.py",
    "test_verify.py",
    "test_in_chromium.py",
    "test_in_c.py",
    "test_sabotage.py",
    "test_figures.py",
    "test_concurrency.py",
    "test_output.py",
    "test_mnist.py",
    "test_decode.py",
    "test_conformance.py",
    "test_host.py",
    "test_weights.py",
)
"""Files that take 20 seconds or more with their slow tests; a long one that began last would keep one process busy and
the others idle.
"""


INSTALLED = [spec for spec in FORMATS.values() if not spec.missing_to_export()]
"""The formats whose packages are here; the tests of the others are skipped, never in CI."""


NICE = 10
"""By how much the processes give way that do not run the first file."""

servers = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the server of `tests.warm`, once for all processes; import what tests need in those that run some."""
    if hasattr(config, "workerinput"):
        os.environ[warm.SOCKET] = config.workerinput["warm"]
        if config.workerinput["workerid"] != "gw0" and hasattr(os, "nice"):
            os.nice(NICE)  # the first one makes what the others come to wait for
    elif warm.SOCKET not in os.environ:
        _start_server()
    if _starts_others(config):
        forked = f"popen//python={shlex.join(warm.PYTHON)}"
        config.option.tx = [forked if spec == "popen" else spec for spec in config.option.tx]
    else:
        config.pluginmanager.import_plugin("tests.fixtures")


def _starts_others(config: pytest.Config) -> bool:
    """Say whether xdist runs the tests in processes that this one starts, which runs none itself."""
    distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    return distributed and not config.getoption("collectonly")


def _start_server() -> None:
    path = Path(servers.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))) / "socket"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_CBWR": "AVX2,STRICT", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, warm.__file__, "--serve", str(path)]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
    servers.callback(server.communicate)  # closes its stdin, at which it ends
    os.environ[warm.SOCKET] = str(path)
    servers.callback(os.environ.pop, warm.SOCKET)
    while not path.exists() and server.poll() is None:
        time.sleep(0.01)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: "WorkerController") -> None:
    """Tell a process that runs tests of that server, from which it may have been forked itself."""
    node.workerinput["warm"] = os.environ[warm.SOCKET]


def pytest_unconfigure() -> None:
    """End it."""
    servers.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files, each of which one process runs: the slowest first, then those that need no exported files."""
    for item in items:
        if spec := _missing_format(item):
            item.add_marker(pytest.mark.skip(reason=f"needs mnist-edge[{spec.export_extra}]"))
    need_exports = {item.path for item in items if "exported" in getattr(item, "fixturenames", ())}
    slowest = () if config.option.markexpr == "not slow" else SLOWEST_FIRST

    def rank(item: pytest.Item) -> int:
        name = item.path.name
        if item.path == Path(__file__).parent / FIRST:
            return -1
        return slowest.index(name) if name in slowest else len(slowest) + (item.path in need_exports)

    items.sort(key=rank)


def _missing_format(item: pytest.Item) -> FormatSpec | None:
    """Return the format that a test is about, where that is not installed; raises in CI, which has all of them."""
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    named = {value for value in given.values() if isinstance(value, str)} | set(item.path.parts)
    for spec in FORMATS.values():
        about = any(value is spec for value in given.values()) or {spec.name, spec.name.replace("-", "_")} & named
        if about and spec not in INSTALLED:
            assert "CI" not in os.environ, f"{', '.join(spec.missing_to_export())} not installed"
            return spec
    return None
