"""Atomic writes: a reader sees the old file or the new one, never a part of one."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.temporaries import (
    Temporary,
    bring_back,
    create_file,
    create_folder,
    hold,
    hold_folder,
    put_folder,
    remove,
    remove_abandoned,
)
from mnist_edge.text import printable


@dataclass
class _Change:
    """A file or a folder that is to appear at `target`.

    Attributes:
        target: with no link in it.
        temporary: what was written.
        kept: what was at `target`, from before it is replaced.
        renamed: the file or folder that is renamed to `target`, from before that is done: Ctrl-C may come right after.
        done: whether `target` is known to be the new one.
    """

    target: Path
    temporary: Temporary
    kept: Temporary | None = None
    renamed: os.stat_result | None = None
    done: bool = False

    def apply(self) -> None:
        _refuse_other_kinds(self.target, folder=self.temporary.path.is_dir())  # it may have come since
        new = self.temporary.named()
        self.renamed = new.lstat()
        if os.name != "posix":
            self.temporary.release()  # Windows renames no open file
        if self.target.is_dir():
            self.kept = hold_folder(self.temporary, self.target)
            put_folder(self.temporary, self.kept, self.target)
        else:
            self.kept = hold(self.target) if self.target.exists() else None
            os.replace(new, self.target)
        self.done = True
        self.temporary.release()

    def undo(self) -> None:
        if self._is_there() and self.kept is not None:
            bring_back(self.kept, self.target)
        elif self._is_there():
            remove(self.target)
        self.done = False

    def _is_there(self) -> bool:
        """Say whether the new one has its name, also where an interruption came before that was noted."""
        if self.done or self.renamed is None:
            return self.done
        try:
            return os.path.samestat(self.renamed, self.target.lstat())
        except FileNotFoundError:
            return False

    def clear(self) -> None:
        """Remove what has no name to stay under."""
        if self.kept is not None:
            self.kept.remove()
        if not self.done:
            self.temporary.remove()


class Transaction:
    """Files and folders that are written as one step; `transaction` makes one.

    What is written has a temporary name in the folder of its target, or none at all, so that it can be examined before
    it exists under its own name. That folder is made where it is missing. What is replaced keeps its mode, and a
    symbolic link stays: what it points to is replaced.
    """

    def __init__(self) -> None:
        """Begin with nothing staged."""
        self._changes: list[_Change] = []

    def write(self, target: Path, data: bytes) -> Path:
        """Write a file, sync it, and return a path at which this process can read it until the transaction ends.

        Raises:
            UserError: it can't be written (disk full, no permission, the target is a folder or a device).
        """
        with _blaming(target):
            place, mode = _place(target, folder=False)
            self._prepare(place.parent)
            change = self._add(place, create_file(place.parent, 0o666 if mode is None else mode))
            descriptor = change.temporary.descriptor
            assert descriptor is not None
            _write_synced(descriptor, data, mode)
        return change.temporary.path

    def write_folder(self, target: Path, files: Mapping[str, bytes]) -> Path:
        """Write a folder of files, sync them, and return a path at which they can be read until the transaction ends.

        A name may lie in a folder of that folder, such as `a/b`.

        Raises:
            UserError: it can't be written (disk full, no permission, the target is a file or a device).
        """
        with _blaming(target):
            place, mode = _place(target, folder=True)
            self._prepare(place.parent)
            folder = self._add(place, create_folder(place.parent)).temporary.path
            for inner in dict.fromkeys((folder / name).parent for name in files):
                inner.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                with (folder / name).open("xb", buffering=0) as file:
                    _write_synced(file.fileno(), data, _mode(place / name))
            if mode is not None:
                folder.chmod(mode)
            for inner in {folder, *((folder / name).parent for name in files)}:
                _sync_folder(inner)
        return folder

    def _prepare(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in {change.target.parent for change in self._changes}:
            remove_abandoned(folder)

    def _add(self, place: Path, temporary: Temporary) -> _Change:
        self._changes.append(_Change(place, temporary))
        return self._changes[-1]

    def commit(self) -> None:
        """Give everything its name, in the order of writing; where one rename fails, undo the earlier ones."""
        try:
            for change in self._changes:
                with _blaming(change.target):
                    change.apply()
            for folder in {change.target.parent for change in self._changes}:
                with _blaming(folder):
                    _sync_folder(folder)
        except BaseException:  # Ctrl-C too
            for change in reversed(self._changes):
                change.undo()
            raise

    def clear(self) -> None:
        """Remove what has not got its name and what was replaced."""
        for change in self._changes:
            change.clear()


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
        changes.clear()


def atomic_write(target: Path, data: bytes) -> None:
    """Write `data` to `target` as a step of its own; see `Transaction`.

    Raises:
        UserError: the file can't be written.
    """
    with transaction() as changes:
        changes.write(target, data)


def check_writable(target: Path, *, folder: bool = False) -> None:
    """Return if a file, or a `folder`, can be written at `target` as things are; nothing is made there.

    Raises:
        UserError: it can't, as in `Transaction`. What takes long should not find that out at its end.
    """
    with _blaming(target):
        place, _ = _place(target, folder=folder)
        existing = place.parent
        while not existing.exists():
            existing = existing.parent
        probe = create_file(existing)
        try:
            assert probe.descriptor is not None
            os.write(probe.descriptor, b"\0")
        finally:
            probe.remove()


def _place(target: Path, *, folder: bool) -> tuple[Path, int | None]:
    """Return what a target stands for, through links, and its mode, or None where there is nothing yet.

    Raises:
        OSError: it is of another kind, its name is too long or none that the system has, or links lead back to
            themselves.
    """
    try:
        place = Path(os.path.realpath(target))
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, f"it cannot be a name here ({printable(str(error))})") from error
    mode = _mode(place)
    if place.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    _refuse_other_kinds(place, folder=folder)
    return place, mode


def _refuse_other_kinds(place: Path, *, folder: bool) -> None:
    """Raise `OSError` where there is something that a file, or a `folder`, can't replace."""
    if place.is_dir() and not folder:
        raise IsADirectoryError(0, "it is a folder")
    if place.exists() and not place.is_dir() and (folder or not place.is_file()):
        raise OSError(0, "it is a file" if place.is_file() else "it is a pipe, a device or a socket")


def _mode(place: Path) -> int | None:
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISLNK(mode) else stat.S_IMODE(mode)


def _write_synced(descriptor: int, data: bytes, mode: int | None) -> None:
    """Write a file, with a mode where one is given, whatever the process's umask is."""
    if mode is not None and hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


@contextmanager
def _blaming(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {printable(str(target))}: {error.strerror}; nothing was changed") from error


def _sync_folder(folder: Path) -> None:
    """Make the renames in `folder` durable, where the system can open a folder (Windows can't)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
