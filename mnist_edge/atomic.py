"""Atomic writes: a reader sees the old file or the new one, never a part of one."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_edge.errors import UserError

Stage = Callable[[Path, bytes], Path]


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    import hashlib  # brings OpenSSL, 4 MB that reading a digit does without

    return hashlib.sha256(data).hexdigest()


def read_bytes(path: Path) -> bytes:
    """Return the content of `path`.

    Raises:
        UserError: the file is missing or can't be read.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading it might never end
            raise UserError(f"cannot read {path}: it is a pipe, a device or a socket, expected a file")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def staging() -> Iterator[Stage]:
    """Write several files as one step: all of them appear when the block ends well, none when it does not.

    The block is given `stage(target, data)`, which writes `data` to a hidden temporary file in the folder of `target`
    (made where it is missing), syncs it, and returns the temporary path, so that what was written can be examined
    before it exists under its name. The renames follow in the order of staging; if one fails, the earlier ones are
    undone. A kill between two renames leaves each file whole, old or new.

    Raises:
        UserError: a file can't be written (disk full, no permission, the target is a folder).
    """
    staged: dict[Path, Path] = {}

    def stage(target: Path, data: bytes) -> Path:
        temporary = target.parent / f".{target.name}.{os.urandom(4).hex()}.tmp"
        with _blaming(target):
            if target.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            staged[target] = temporary
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return temporary

    try:
        yield stage
        _rename(staged)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def _rename(staged: dict[Path, Path]) -> None:
    """Give each file its name; where one rename fails, bring back what the earlier ones replaced."""
    before = {target: target.read_bytes() if target.exists() else None for target in staged}
    done: list[Path] = []
    try:
        for target, temporary in staged.items():
            with _blaming(target):
                os.replace(temporary, target)
            done.append(target)
        for folder in {target.parent for target in staged}:
            with _blaming(folder):
                _sync_folder(folder)
    except UserError:
        for target in done:
            _restore(target, before[target])
        raise


def _restore(target: Path, content: bytes | None) -> None:
    if content is None:
        target.unlink(missing_ok=True)
    else:
        temporary = target.parent / f".{target.name}.{os.urandom(4).hex()}.tmp"
        temporary.write_bytes(content)
        os.replace(temporary, target)


def atomic_write(target: Path, data: bytes) -> None:
    """Write `data` to `target` through a temporary file in the same folder, fsync and rename.

    Raises:
        UserError: the file can't be written.
    """
    with staging() as stage:
        stage(target, data)


@contextmanager
def _blaming(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; nothing was changed") from error


def _sync_folder(folder: Path) -> None:
    """Make the renames in `folder` durable, where the system can open a folder (Windows can't)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
