"""What the process writes to stdout and stderr past Python, held back."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_LOCK = threading.RLock()
"""Held while stdout, stderr or the filters of warnings belong to one thread, since the process has them once.

A thread that forks holds it, too, so that its child finds none of them changed. It may be taken again by the thread
that holds it, since a fork may come from anywhere, such as a signal handler.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=QUIET_LOCK.acquire, after_in_parent=QUIET_LOCK.release, after_in_child=QUIET_LOCK.release
    )


@contextmanager
def silent_descriptors(*numbers: int) -> Iterator[None]:
    """Hold back what a library's C or C++ code writes to descriptors of this process, such as 1 and 2.

    One thread at a time does that, and others that want to wait for it. A descriptor that is not open stays so.
    """
    with QUIET_LOCK, contextlib.ExitStack() as undo:
        _flush(numbers)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        undo.callback(os.close, nowhere)
        for number in numbers:
            if _is_open(number):
                kept = os.dup(number)
                undo.callback(os.close, kept)
                undo.callback(os.dup2, kept, number)
                os.dup2(nowhere, number)
        yield


def _is_open(number: int) -> bool:
    """Say whether the process has a descriptor; one with a window, or a service, may lack those of the terminal."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _flush(numbers: tuple[int, ...]) -> None:
    """Write what Python still holds for the user; a stream that can't be written says so to whoever writes to it."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        if number in numbers and stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
