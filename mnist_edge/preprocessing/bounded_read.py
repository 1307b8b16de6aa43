"""Reading of a file that may be anything: a pipe that nobody writes to, a device without an end, a link to itself."""

import errno
import os
import stat

from mnist_edge.errors import PictureError

MAX_FILE_BYTES = 32 << 20
"""Most bytes of a picture file."""


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file of at most `MAX_FILE_BYTES`, without ever waiting for one to be written.

    Raises:
        PictureError: it is missing, unreadable, too large, or a folder, pipe, socket or device.
    """
    try:
        _check_kind(os.stat(path))  # noqa: PTH116 - names are not a Path here, which costs more than the call
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            size = _check_kind(os.fstat(descriptor))  # again: the name may stand for another file by now
            return _read_all(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise PictureError(f"impossible file name: {error}") from error


def _check_kind(status: os.stat_result) -> int:
    """Return the size of a regular file that is not too large."""
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISFIFO(mode):
            raise PictureError("it is a pipe, which may never end: give its bytes on standard input instead, as `-`")
        raise PictureError("it is a device or a socket, expected a file")
    check_length(status.st_size)
    return status.st_size


def check_length(length: int) -> None:
    """Refuse a file of more than `MAX_FILE_BYTES` bytes.

    Raises:
        PictureError: it is one.
    """
    if length > MAX_FILE_BYTES:
        raise PictureError(f"it is too large: more than {MAX_FILE_BYTES >> 20} MB")


def _read_all(descriptor: int, size: int) -> bytes:
    """Read to the end; the size is a hint, which is 0 for files that the system makes up while they are read."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts = [data]
    while parts[-1] and sum(map(len, parts)) <= MAX_FILE_BYTES:
        parts.append(os.read(descriptor, 1 << 20))
    data = b"".join(parts)
    check_length(len(data))
    return data
