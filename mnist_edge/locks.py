"""Locks of folders against other processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_edge.errors import UserError


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a folder, which must exist, against other processes that ask for it; wait until it is free.

    POSIX locks the folder itself, so no lock file is left. Other systems have no such lock, and none is held.

    Args:
        folder: to lock.
        shared: whether others may hold it too who also share it. Whoever reads need not be allowed to lock, so that
            where the folder can't be locked, none is held.

    Raises:
        UserError: the folder can't be locked.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = None
    try:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            if not shared:
                raise UserError(f"cannot lock {folder}: {error.strerror}") from error
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
