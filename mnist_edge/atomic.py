"""Atomic writes: a reader sees the old file or the new one, never a part of one."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mnist_edge.errors import UserError


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


class Transaction:
    """Files and folders that are written as one step; `transaction` makes one.

    What is written lies under a hidden temporary name in the folder of its target, which is made where it is missing,
    so that it can be examined before it exists under its own name.
    """

    def __init__(self) -> None:
        """Begin with nothing staged."""
        self.staged: dict[Path, Path] = {}

    def write(self, target: Path, data: bytes) -> Path:
        """Write a file, sync it, and return its temporary path.

        Raises:
            UserError: it can't be written (disk full, no permission, the target is a folder).
        """
        with _blaming(target):
            if target.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            temporary = self._stage(target)
            _write_synced(temporary, data)
        return temporary

    def write_folder(self, target: Path, files: Mapping[str, bytes]) -> Path:
        """Write a folder of files, sync them, and return its temporary path.

        Raises:
            UserError: it can't be written (disk full, no permission, the target is a file).
        """
        with _blaming(target):
            if target.exists() and not target.is_dir():
                raise NotADirectoryError(0, "it is a file")
            temporary = self._stage(target)
            temporary.mkdir()
            for name, data in files.items():
                _write_synced(temporary / name, data)
            _sync_folder(temporary)
        return temporary

    def _stage(self, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.staged[target] = _temporary(target)
        return self.staged[target]

    def commit(self) -> None:
        """Give everything its name, in the order of writing; where one rename fails, undo the earlier ones."""
        replaced: dict[Path, Path | None] = {}
        try:
            for target, temporary in self.staged.items():
                with _blaming(target):
                    replaced[target] = _set_aside(target)
                    os.replace(temporary, target)
            for folder in {target.parent for target in self.staged}:
                with _blaming(folder):
                    _sync_folder(folder)
        except UserError:
            for target, before in replaced.items():
                _restore(target, before)
            raise
        for before in replaced.values():
            if before is not None:
                _remove(before)

    def discard(self) -> None:
        """Remove what has not got its name."""
        for temporary in self.staged.values():
            _remove(temporary)


@contextmanager
def transaction() -> Iterator[Transaction]:
    """Write several files or folders as one step: all appear when the block ends well, none when it does not.

    A kill between two renames leaves each file whole, old or new.

    Raises:
        UserError: something can't be written.
    """
    changes = Transaction()
    try:
        yield changes
        changes.commit()
    finally:
        changes.discard()


def atomic_write(target: Path, data: bytes) -> None:
    """Write `data` to `target` through a temporary file in the same folder, fsync and rename.

    Raises:
        UserError: the file can't be written.
    """
    with transaction() as changes:
        changes.write(target, data)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, which must exist, against other processes that ask for it; wait until it is free.

    POSIX locks the folder itself, so no lock file is left. Other systems have no such lock, and none is held.

    Raises:
        UserError: the folder can't be opened.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    with _blaming(folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _temporary(target: Path) -> Path:
    return target.parent / f".{target.name}.{os.urandom(4).hex()}.tmp"


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _set_aside(target: Path) -> Path | None:
    """Keep what is about to be replaced under another name, and return that; None where there is nothing.

    A file is linked or copied, so that its own name never stands for nothing. A folder can't be replaced by a rename
    and is moved: for that moment its name stands for nothing.
    """
    if not target.exists():
        return None
    kept = _temporary(target)
    if target.is_dir():
        os.replace(target, kept)
    else:
        try:
            os.link(target, kept)
        except OSError:  # a file system without hard links
            import shutil  # rarely needed, and slow to import

            shutil.copy2(target, kept)
    return kept


def _restore(target: Path, before: Path | None) -> None:
    if before is None:
        _remove(target)
        return
    if before.is_dir():
        _remove(target)
    os.replace(before, target)
    _remove(before)  # a rename between two links to one file does nothing


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil  # rarely needed, and slow to import

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
