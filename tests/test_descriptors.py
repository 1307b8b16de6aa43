import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from mnist_edge.descriptors import silent_descriptors
from mnist_edge.preprocessing.decode import _quiet_libtiff

BOTH = partial(silent_descriptors, 1, 2)


def _where(numbers: tuple[int, ...] = (1, 2)) -> list[tuple[int, int]]:
    return [(os.fstat(number).st_dev, os.fstat(number).st_ino) for number in numbers]


def test_what_is_written_past_python_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before ")
    with BOTH(), BOTH():
        os.write(1, b"held back")
        os.write(2, b"held back")
    os.write(1, b"after")
    assert capfd.readouterr() == ("before after", "")


@pytest.mark.parametrize(
    ("first", "second"), [(BOTH, BOTH), (BOTH, _quiet_libtiff), (_quiet_libtiff, BOTH)], ids=["both", "tiff", "litert"]
)
def test_threads_that_hold_back_at_once_leave_what_they_found(
    first: Callable[[], AbstractContextManager[None]], second: Callable[[], AbstractContextManager[None]]
) -> None:
    before = _where()
    entered, first_is_over = threading.Event(), threading.Event()

    def overlap() -> None:
        with second():
            entered.set()
            first_is_over.wait()

    thread = threading.Thread(target=overlap)
    with first():
        thread.start()
        entered.wait(0.2)
    first_is_over.set()
    thread.join()
    assert _where() == before


def test_without_streams_nothing_is_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a service, or under pythonw."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with BOTH():
        pass


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)], ids=str)
def test_what_is_not_open_stays_so(closed: tuple[int, ...]) -> None:
    code = (
        "import os, sys; from mnist_edge.descriptors import silent_descriptors\n"
        f"for number in {closed}: os.close(number)\n"
        "with silent_descriptors(1, 2): os.write(2, b'held back')\n"
        f"for number in {closed}:\n"
        "    try: os.fstat(number)\n"
        "    except OSError: continue\n"
        "    os._exit(1)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_meanwhile_finds_them_unchanged() -> None:
    code = (
        "import os, threading; from mnist_edge.descriptors import silent_descriptors\n"
        "before, entered = os.fstat(2), threading.Event()\n"
        "def hold_back():\n"
        "    with silent_descriptors(2): entered.set(); threading.Event().wait(0.1)\n"
        "threading.Thread(target=hold_back).start(); entered.wait()\n"
        "child = os.fork()\n"
        "if not child: os._exit(not os.path.samestat(os.fstat(2), before))\n"
        "os._exit(os.waitpid(child, 0)[1] != 0)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
