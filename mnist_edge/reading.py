"""Reading a whole file that somebody else may have chosen: regular files alone, and none that is too long."""

import os
import stat
from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.text import printable

MAX_FILE_BYTES = 1 << 30
"""Most bytes of a file that is read whole."""

_TO_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        UserError: it is missing, can't be read, is longer than `max_bytes`, is not a file, or has no possible name.
    """
    try:
        _require_file(path.stat())  # to open a device may do something
        descriptor = os.open(path, _TO_READ)
        try:
            found = os.fstat(descriptor)
            _require_file(found)  # it may be another one by now
            data = b"" if found.st_size > max_bytes else _read(descriptor, found.st_size, max_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise UserError(f"cannot read {printable(str(path))}: it cannot be a name here") from error
    if max(len(data), found.st_size) > max_bytes:
        raise UserError(f"cannot read {path}: it is longer than {max_bytes:,} bytes")
    return data


def _read(descriptor: int, expected: int, max_bytes: int) -> bytes:
    """Return all that follows in an open file, or more than `max_bytes` of it where it has grown."""
    parts, length = [], 0
    while length <= max_bytes and (part := os.read(descriptor, max(expected - length, 1 << 16))):
        parts.append(part)
        length += len(part)
    return b"".join(parts)


def _require_file(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(0, "it is a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "it is a pipe, a device or a socket, expected a file")
