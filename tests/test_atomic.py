import contextlib
import errno
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from mnist_edge import atomic, temporaries
from mnist_edge.atomic import atomic_write, check_writable, transaction
from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes
from mnist_edge.temporaries import remove

LEFT = ".mnist-edge-0123456789abcdef.tmp"
"""A name under which a killed process left something."""


@pytest.fixture(params=["unnamed", "named"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without files that have no name, and names that change places in one step."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
        monkeypatch.setattr(temporaries, "exchange", lambda *_: False)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("both")
def test_several_files_and_folders_appear_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"old")
    before = everything(tmp_path)

    def changes_its_mind() -> None:
        with transaction() as changes:
            assert changes.write(tmp_path / "a", b"new").read_bytes() == b"new"
            assert (changes.write_folder(tmp_path / "d", {"y": b"new"}) / "y").read_bytes() == b"new"
            changes.write(tmp_path / "folder" / "b", b"new")
            raise RuntimeError("second thoughts")

    with pytest.raises(RuntimeError, match="second thoughts"):
        changes_its_mind()
    assert everything(tmp_path) == before

    with transaction() as changes:
        changes.write(tmp_path / "a", b"new")
        changes.write_folder(tmp_path / "d", {"y": b"new"})
        changes.write_folder(tmp_path / "e", {"z": b"new"})
        changes.write(tmp_path / "folder" / "b", b"new")
        assert not (tmp_path / "folder" / "b").exists()
    assert everything(tmp_path) == {"a": b"new", "d/y": b"new", "e/z": b"new", "folder/b": b"new"}
    assert names(tmp_path) == ["a", "d", "e", "folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")
def test_what_is_staged_has_no_name(tmp_path: Path) -> None:
    with transaction() as changes:
        changes.write(tmp_path / "a", b"new")
        assert names(tmp_path) == []


@pytest.mark.usefixtures("both")
def test_a_new_file_has_the_usual_mode_and_one_that_is_replaced_its_own(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    for mode in (0o600, 0o640, 0o444, 0o755):
        target = tmp_path / "ours"
        atomic_write(target, b"first")
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
        target.chmod(mode)
        atomic_write(target, b"second")
        assert stat.S_IMODE(target.stat().st_mode) == mode
        target.unlink()


@pytest.mark.usefixtures("both")
def test_a_folder_that_is_replaced_keeps_its_mode_and_those_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    for mode in (None, 0o700):
        if mode is not None:
            folder.chmod(mode)
            (folder / "x").chmod(0o600)
        with transaction() as changes:
            changes.write_folder(folder, {"x": b"1", "y": b"2"})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "y").stat().st_mode) != 0o600


@pytest.mark.usefixtures("both")
def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "d").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"old")
    for name, pointed in (("a", "real/a"), ("b", "a"), ("dangling", "real/new"), ("d", "real/d")):
        (tmp_path / name).symlink_to(pointed)
    with transaction() as changes:
        changes.write(tmp_path / "b", b"1")
        changes.write(tmp_path / "dangling", b"2")
        changes.write_folder(tmp_path / "d", {"x": b"3"})
    assert everything(tmp_path / "real") == {"a": b"1", "new": b"2", "d/x": b"3"}
    assert all((tmp_path / name).is_symlink() for name in ("a", "b", "dangling", "d"))
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UserError, match="Too many levels of symbolic links"):
        atomic_write(tmp_path / "circle", b"new")


@pytest.mark.usefixtures("both")
def test_names_may_be_as_long_as_the_system_has_them(tmp_path: Path) -> None:
    atomic_write(tmp_path / ("a" * 255), b"new")
    assert everything(tmp_path) == {"a" * 255: b"new"}
    for write in (lambda path: atomic_write(path, b"new"), check_writable):
        with pytest.raises(UserError, match="File name too long") as caught:
            write(tmp_path / ("a" * 256))
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(UserError, match=r"cannot write .*a: No space left on device"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_what_can_not_be_a_name_is_one_line_that_quotes_it(name: str, tmp_path: Path) -> None:
    quoted = re.escape(name.encode("unicode_escape").decode())
    with pytest.raises(UserError, match=rf"cannot write .*/{quoted}/x: it cannot be a name here \(.*\); nothing was"):
        check_writable(tmp_path / name / "x")
    with pytest.raises(UserError, match=rf"cannot write .*/{quoted}: it cannot be a name here \(.*\); nothing was"):
        atomic_write(tmp_path / name, b"")
    assert names(tmp_path) == []


@pytest.mark.parametrize("interruption", [PermissionError(errno.EPERM, os.strerror(errno.EPERM)), KeyboardInterrupt()])
@pytest.mark.usefixtures("both")
def test_a_rename_that_fails_undoes_the_ones_before_it(
    interruption: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, folder, second = tmp_path / "first", tmp_path / "folder", tmp_path / "second"
    write_all(first, folder, {"first": b"old", "folder": b"old"})
    before = everything(tmp_path)
    rename = os.replace

    def refuse_second(source: Path, target: Path) -> None:
        if target == second:
            raise interruption
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_second)
    with pytest.raises((UserError, KeyboardInterrupt)) as caught:
        write_all(first, folder, {"first": b"a", "folder": b"c", "new": b"b", "second": b"d"})
    if isinstance(caught.value, UserError):
        assert str(caught.value) == f"cannot write {second}: Operation not permitted; nothing was changed"
    assert everything(tmp_path) == before
    assert sorted(tmp_path.iterdir()) == [first, folder]


@pytest.mark.usefixtures("both")
def test_ctrl_c_at_any_step_leaves_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which takes most of the time
    steps = 0
    while True:
        place = tmp_path / str(steps)
        place.mkdir()
        old = {"a": b"old", "folder": b"old", "b": b"old"}
        new = {"a": b"new", "folder": b"new", "b": b"new", "c": b"new"}
        write_all(place / "a", place / "folder", old)
        before = everything(place)
        tracer = sys.gettrace()
        sys.settrace(interruption := Interruption(after=steps))
        try:
            write_all(place / "a", place / "folder", new)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracer)
        found = {name: data for name, data in everything(place).items() if not name.startswith(".mnist-edge-")}
        assert found in (before, {"a": b"new", "b": b"new", "c": b"new", "folder/x": b"new"}), interruption.where
        if not interruption.where:
            break
        steps += 1
    assert steps > 50


class Interruption:
    """A tracer that raises `KeyboardInterrupt` after some steps of what writes, from when the renames begin."""

    def __init__(self, after: int) -> None:
        self.left, self.began, self.where = after, False, ""

    def __call__(self, frame: FrameType, event: str, _: object) -> "Interruption | None":
        if frame.f_code.co_filename not in (atomic.__file__, temporaries.__file__):
            return None
        self.began = self.began or frame.f_code is atomic.Transaction.commit.__code__
        if self.began and event in ("line", "return"):
            if not self.left and not self.where:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise KeyboardInterrupt
            self.left -= 1
        return self


def write_all(beside: Path, folder: Path, files: dict[str, bytes]) -> None:
    with transaction() as changes:
        for name, data in files.items():
            if name == folder.name:
                changes.write_folder(folder, {"x": data})
            else:
                changes.write(beside.with_name(name), data)


class WindowsOs:
    """The module `os` as Windows has it, as far as the writing of files shows it."""

    name = "nt"

    def __getattr__(self, name: str) -> object:
        if name in ("O_TMPFILE", "O_NONBLOCK", "O_NOFOLLOW", "fchmod"):
            raise AttributeError(name)
        return getattr(os, name)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """No locks, no exchange of two names, and no open file that is renamed, replaced or removed."""
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("what is open is not listed here")
    rename, unlink = os.replace, os.unlink

    def refuse_open(path: Path) -> None:
        status = path.stat() if path.exists() else None
        for descriptor in open_files.iterdir():
            with contextlib.suppress(OSError):
                if status and os.path.samestat(descriptor.stat(), status):
                    raise AssertionError(f"{path} is open")

    def replace(source: Path, target: Path) -> None:
        refuse_open(source)
        refuse_open(target)
        rename(source, target)

    def remove_closed(path: str | Path, *, dir_fd: int | None = None) -> None:
        refuse_open(Path(path))
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "unlink", remove_closed)
    monkeypatch.setattr(atomic, "os", WindowsOs())
    monkeypatch.setattr(temporaries, "os", WindowsOs())
    monkeypatch.setattr(temporaries, "fcntl", None)


@pytest.mark.usefixtures("windows")
def test_windows_replaces_and_removes_what_is_not_open(tmp_path: Path) -> None:
    file, folder = tmp_path / "a", tmp_path / "folder"
    for data in (b"old", b"new"):
        check_writable(file)
        write_all(file, folder, {"a": data, "folder": data})
        assert everything(tmp_path) == {"a": data, "folder/x": data}

    def fails() -> None:
        with transaction() as changes:
            changes.write(file, b"newer")
            changes.write(folder, b"a file")

    with pytest.raises(UserError, match="it is a folder"):
        fails()
    assert everything(tmp_path) == {"a": b"new", "folder/x": b"new"}
    assert names(tmp_path) == ["a", "folder"]


def test_what_is_not_a_file_is_refused_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("pipe", "null", "zero", "socket"):
            for use in (lambda path: atomic_write(path, b"new"), check_writable, read_bytes):
                with pytest.raises(UserError, match="it is a pipe, a device or a socket"):
                    use(tmp_path / name)
    for use in (lambda path: atomic_write(path, b"new"), check_writable, read_bytes):
        with pytest.raises(UserError, match="it is a folder"):
            use(tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(UserError, match="it is a file"), transaction() as changes:
        changes.write_folder(tmp_path / "file", {"x": b"new"})


@pytest.mark.usefixtures("both")
def test_what_became_a_pipe_or_a_folder_since_it_was_checked_is_not_replaced(tmp_path: Path) -> None:
    def replaced_meanwhile(make: Callable[[Path], None]) -> None:
        with transaction() as changes:
            changes.write(tmp_path / "first", b"new")
            changes.write(tmp_path / "second", b"new")
            make(tmp_path / "second")

    for make, reason in ((os.mkfifo, "it is a pipe, a device or a socket"), (os.mkdir, "it is a folder")):
        with pytest.raises(UserError, match=reason):
            replaced_meanwhile(make)
        assert names(tmp_path) == ["second"]
        assert not (tmp_path / "second").is_file()
        remove(tmp_path / "second")


def test_what_a_kill_has_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    file, folder, link, other = (tmp_path / LEFT.replace("0", digit) for digit in "abcd")
    file.write_bytes(b"part")
    folder.mkdir()
    (folder / "x").write_bytes(b"part")
    link.symlink_to(tmp_path / "a")
    os.mkfifo(other)
    strangers = [".mnist-edge-0.tmp", ".a.0123abcd.tmp", LEFT + "x", "mnist-edge.tmp", LEFT.replace(".tmp", ".old")]
    for name in strangers:
        (tmp_path / name).write_bytes(b"not ours")
    atomic_write(tmp_path / "a", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"a", link.name, *strangers}


@pytest.mark.usefixtures("both")
def test_what_another_process_is_writing_is_not_removed(tmp_path: Path) -> None:
    ready, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction() as changes:
            changes.write(tmp_path / "a", b"slow")
            changes.write_folder(tmp_path / "d", {"x": b"slow"})
            ready.set()
            go_on.wait()

    writer = threading.Thread(target=slowly)
    writer.start()
    ready.wait()
    for _ in range(3):
        atomic_write(tmp_path / "b", b"quick")
    go_on.set()
    writer.join()
    assert everything(tmp_path) == {"a": b"slow", "b": b"quick", "d/x": b"slow"}
    assert names(tmp_path) == ["a", "b", "d"]


@pytest.mark.parametrize("made", ["file", "folder"])
def test_a_temporary_that_is_removed_before_it_is_locked_is_made_again(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    lock = temporaries._lock
    taken: list[int] = []

    def too_late(descriptor: int, *, wait: bool = False, shared: bool = False) -> bool:
        if wait and not taken:
            taken.append(descriptor)
            temporaries.remove_abandoned(tmp_path)
        return lock(descriptor, wait=wait, shared=shared)

    monkeypatch.setattr(temporaries, "_lock", too_late)
    with transaction() as changes:
        if made == "file":
            changes.write(tmp_path / "a", b"new")
        else:
            changes.write_folder(tmp_path / "a", {"x": b"new"})
    assert taken
    assert b"new" in everything(tmp_path).values()


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    program = (
        "import os, signal, pathlib\n"
        "from mnist_edge.atomic import atomic_write\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"atomic_write(pathlib.Path({str(target)!r}), b'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    atomic_write(tmp_path / "b", b"")
    assert names(tmp_path) == ["a", "b"]


def test_check_writable_makes_nothing(tmp_path: Path) -> None:
    for name in ("a", "new/folder/a"):
        check_writable(tmp_path / name)
        check_writable(tmp_path / name, folder=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file")
    for path, reason in (
        (tmp_path / "file" / "a", "Not a directory"),
        (tmp_path / "file" / "new" / "a", "Not a directory"),
        (Path("/proc/a"), ""),
        (Path("/sys/a/b"), ""),
    ):
        with pytest.raises(UserError, match=f"cannot write {path}: {reason}"):
            check_writable(path)
    with pytest.raises(UserError, match="it is a file"):
        check_writable(tmp_path / "file", folder=True)


def test_a_limit_on_the_size_of_files_is_found_before_the_work(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        for write in (lambda path: atomic_write(path, b"new"), check_writable):
            with pytest.raises(UserError, match="File too large"):
                write(tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("both")
def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(names(Path("/proc/self/fd")))
    for _ in range(3):
        with transaction() as changes:
            changes.write(tmp_path / "a", b"new")
            changes.write_folder(tmp_path / "d", {"x": b"new"})
    check_writable(tmp_path / "a")
    read_bytes(tmp_path / "a")
    with pytest.raises(UserError, match="it is a folder"):
        write_all(tmp_path / "a", tmp_path / "e", {"a": b"new", "d": b"new"})
    assert len(names(Path("/proc/self/fd"))) == before
