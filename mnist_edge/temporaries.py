"""Files and folders that have no name yet, so that a kill leaves no part of one behind.

Linux can write a file without a name (`O_TMPFILE`), which is gone with the process that wrote it. What must have a
name (a folder, a file elsewhere, a file for the moment before its rename) is called `.mnist-edge-<16 hex digits>.tmp`
and locked (`flock`) by the process that works on it. One that nobody locks was left by a kill, and the next write to
that folder removes it. Where there is no `flock` (Windows), nothing is locked and such files stay.
"""

import contextlib
import os
import re
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NAME = re.compile(r"\.mnist-edge-[0-9a-f]{16}\.tmp")
_DESCRIPTORS = Path("/proc/self/fd")
_BINARY = getattr(os, "O_BINARY", 0)
_OPEN_TO_LOCK = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


class Temporary:
    """A file or a folder that is to get its name later.

    Attributes:
        path: where this process can read it.
        descriptor: open on it, and holding its lock; None after `release`, and on Windows for all but a new file.
    """

    def __init__(self, path: Path, descriptor: int | None, folder: Path, *, unnamed: bool = False) -> None:
        """Take over what `create_file`, `create_folder`, `hold` or `hold_folder` made in `folder`."""
        self.path, self.descriptor = path, descriptor
        self._folder, self._unnamed = folder, unnamed

    def named(self) -> Path:
        """Return its temporary name, and give it one where it has none; raises `OSError`."""
        if self._unnamed:
            path = _new_name(self._folder)
            folder = os.open(self._folder, os.O_RDONLY)
            try:  # without a descriptor of a folder, Python would link the link in /proc
                os.link(self.path, path.name, dst_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
            self.path, self._unnamed = path, False
        return self.path

    def release(self) -> None:
        """Close it, and with that give up its lock."""
        descriptor, self.descriptor = self.descriptor, None  # first, so that Ctrl-C can't let it be closed twice
        if descriptor is not None:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove it where it has not got its name, and release it."""
        if fcntl is None:
            self.release()  # Windows removes no open file
        if not self._unnamed:
            remove(self.path)
        self.release()


def create_file(folder: Path, mode: int = 0o666) -> Temporary:
    """Return an empty file in a folder, open for writing; raises `OSError`."""
    if hasattr(os, "O_TMPFILE") and _DESCRIPTORS.is_dir():
        with contextlib.suppress(OSError):  # not on each file system; what else is wrong, the other way meets again
            descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, mode)
            _lock(descriptor)
            return Temporary(_DESCRIPTORS / str(descriptor), descriptor, folder, unnamed=True)
    while True:
        path = _new_name(folder)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, mode)
        _lock(descriptor, wait=True)
        if _is(path, descriptor):
            return Temporary(path, descriptor, folder)
        os.close(descriptor)  # another process took it for one that was left, before it was locked


def create_folder(folder: Path) -> Temporary:
    """Return an empty folder in a folder; raises `OSError`."""
    while True:
        path = _new_name(folder)
        path.mkdir()
        if fcntl is None:
            return Temporary(path, None, folder)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            _lock(descriptor, wait=True)
            if _is(path, descriptor):
                return Temporary(path, descriptor, folder)
            os.close(descriptor)


def hold(target: Path) -> Temporary:
    """Return a second name for a file, or a copy where there are no hard links, so that it can be brought back.

    The file's own name never stands for nothing. Raises `OSError`.
    """
    kept = Temporary(_new_name(target.parent), None, target.parent)
    if fcntl is not None:  # Windows replaces no open file
        with contextlib.suppress(PermissionError):  # who may replace a file need not be allowed to read it
            kept.descriptor = os.open(target, _OPEN_TO_LOCK)
            _lock(kept.descriptor, shared=True)
    try:
        os.link(target, kept.path)
    except OSError:  # a file system without hard links
        import shutil  # rarely needed, and slow to import

        try:
            shutil.copy2(target, kept.path)
        except OSError:
            kept.remove()
            raise
    return kept


def hold_folder(new: Temporary, target: Path) -> Temporary:
    """Return the folder `target` as what it is once `new` and it have changed places; raises `OSError`."""
    kept = Temporary(new.path, None if fcntl is None else os.open(target, os.O_RDONLY), target.parent)
    if kept.descriptor is not None:
        _lock(kept.descriptor, shared=True)
    return kept


def put_folder(new: Temporary, kept: Temporary, target: Path) -> None:
    """Give a new folder the name of one that is there, which is what `hold_folder` returned; raises `OSError`.

    Where two names can't be exchanged in one step, the name stands for nothing for a moment. What a kill leaves then is
    called `.old` and nobody removes it.
    """
    if exchange(new.path, target):
        return
    kept.path = new.path.with_suffix(".old")
    try:
        os.replace(target, kept.path)
        os.replace(new.path, target)
    except BaseException:  # Ctrl-C too, which may come after either
        if not target.exists():
            os.replace(kept.path, target)
        raise


def bring_back(kept: Temporary, target: Path) -> None:
    """Give what `hold` or `hold_folder` returned its name again; raises `OSError`."""
    if kept.path.is_dir() and not exchange(kept.path, target):
        remove(target)
    if not target.is_dir():
        os.replace(kept.path, target)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left in a folder under temporary names."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]
    for path in left:
        with contextlib.suppress(OSError):  # it is another's, or somebody else has removed it
            descriptor = os.open(path, _OPEN_TO_LOCK)
            try:
                if _lock(descriptor) and _is(path, descriptor):
                    remove(path)
            finally:
                os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, where it is there."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # rarely needed, and slow to import

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def exchange(first: Path, second: Path) -> bool:
    """Let two names on one file system change places in one step; return whether the system could."""
    if os.name != "posix" or not _DESCRIPTORS.is_dir():
        return False
    import ctypes  # rarely needed, and slow to import

    swap = 2  # RENAME_EXCHANGE of linux/fs.h
    here = -100  # AT_FDCWD of fcntl.h
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an old C library
        return False
    done: int = rename(here, os.fsencode(first), here, os.fsencode(second), swap)
    return done == 0


def _new_name(folder: Path) -> Path:
    return folder / f".mnist-edge-{os.urandom(8).hex()}.tmp"


def _lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file and return whether that was possible, which it is not on each file system."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is(path: Path, descriptor: int) -> bool:
    """Say whether a name still stands for an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
