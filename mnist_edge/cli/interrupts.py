"""Ctrl-C and SIGTERM where Python raises nothing for them, or drops what it raises."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_edge.cli.output import note

GRACE_SECONDS = 1.0
"""Time after a signal in which Python code ends the program in its own way."""

LONG_GRACE_SECONDS = 5.0
"""The same for a command that may have to remove what it was writing."""


AGAIN_SECONDS = 0.01
"""Time after which a signal whose exception was dropped is sent again."""

_ENDING = (signal.SIGINT, signal.SIGTERM)


def grace_of(command: list[str]) -> float:
    """Return the time for the sub-command that a command line begins with: `predict` writes one small file at most."""
    return GRACE_SECONDS if command == ["predict"] else LONG_GRACE_SECONDS


@contextmanager
def long_calls_interrupted(grace: float) -> Iterator[None]:
    """Let a signal end the program within `grace` seconds, also in the middle of a long call of a library.

    The interpreter notes a signal at once but acts on it between two steps of Python code, and where a library calls
    that code, it may drop the exception. A thread that the signal wakes waits whether the block ends. Where the
    interpreter itself drops it, as in a callback of a weak reference, the signal is sent again. Signals that are
    ignored stay so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows before Python 3.12 has none; it also takes a pipe that blocks when full
        os.set_blocking(writer, False)
    ended = threading.Event()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader, ended, grace), daemon=True)
    watcher.start()
    hook = sys.unraisablehook

    def report(dropped: "sys.UnraisableHookArgs") -> None:
        if not _send_again(dropped.exc_value):
            hook(dropped)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = hook
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


def _send_again(dropped: BaseException | None) -> bool:
    """Send the signal again that an exception was raised for, to the main thread; return whether there was one."""
    if isinstance(dropped, KeyboardInterrupt):
        number = signal.SIGINT
    elif isinstance(dropped, SystemExit) and dropped.code == 128 + signal.SIGTERM:
        number = signal.SIGTERM
    else:
        return False
    timer = threading.Timer(AGAIN_SECONDS, _send, (number,))
    timer.daemon = True
    timer.start()
    return True


def _send(number: signal.Signals) -> None:
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, number)  # which also ends what waits in the system
    else:  # Windows
        signal.raise_signal(number)
