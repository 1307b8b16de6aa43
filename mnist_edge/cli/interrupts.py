"""Ctrl-C and SIGTERM while a library computes, which hears of no signal before it returns."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_edge.cli.output import note

GRACE_SECONDS = 1.0
"""Time after a signal in which Python code ends the program in its own way."""

LONG_GRACE_SECONDS = 5.0
"""The same for a command that may have to remove what it was writing."""


_ENDING = (signal.SIGINT, signal.SIGTERM)


def grace_of(command: list[str]) -> float:
    """Return the time for the sub-command that a command line begins with: `predict` writes one small file at most."""
    return GRACE_SECONDS if command == ["predict"] else LONG_GRACE_SECONDS


@contextmanager
def long_calls_interrupted(grace: float) -> Iterator[None]:
    """Let a signal end the program within `grace` seconds, also in the middle of a long call of a library.

    The interpreter notes a signal at once but acts on it between two steps of Python code, and where a library calls
    that code, it may drop the exception. A thread that the signal wakes waits whether the block ends. Signals that are
    ignored stay so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended = threading.Event()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader, ended, grace), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int, ended: threading.Event, grace: float) -> None:
    while woken := os.read(reader, 1):
        if woken[0] in _ENDING and callable(signal.getsignal(woken[0])):
            if not ended.wait(grace):
                if woken[0] == signal.SIGINT:
                    note("Error: interrupted")
                os._exit(128 + woken[0])
            return
