import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.atomic import atomic_write, read_bytes, staging


def test_several_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def changes_its_mind() -> None:
        with staging() as stage:
            staged = stage(tmp_path / "a", b"new")
            assert staged.read_bytes() == b"new"
            stage(tmp_path / "folder" / "b", b"new")
            raise RuntimeError("second thoughts")

    with pytest.raises(RuntimeError, match="second thoughts"):
        changes_its_mind()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "a"]

    with staging() as stage:
        stage(tmp_path / "a", b"new")
        stage(tmp_path / "folder" / "b", b"new")
        assert not (tmp_path / "folder" / "b").exists()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "folder" / "b").read_bytes() == b"new"
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 2


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    atomic_write(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize("step", ["fsync", "replace"])
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


def test_a_rename_that_fails_undoes_the_ones_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, new = tmp_path / "first", tmp_path / "second", tmp_path / "new"
    first.write_bytes(b"old")
    rename = os.replace

    def refuse_second(source: Path, target: Path) -> None:
        if target == second:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_second)
    with pytest.raises(UserError, match=r"cannot write .*second: Operation not permitted; nothing was changed"):
        write_all({first: b"a", new: b"b", second: b"c"})
    assert first.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [first]


def write_all(files: dict[Path, bytes]) -> None:
    with staging() as stage:
        for path, data in files.items():
            stage(path, data)


def test_a_folder_in_the_way_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        atomic_write(tmp_path / "a", b"new")


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
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["a"]


def test_reading_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_bytes(tmp_path / "missing")
