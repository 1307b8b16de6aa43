import os
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes


def test_a_file_that_becomes_a_pipe_before_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"data")
    original = os.open

    def swapped(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return original(name, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(UserError, match="it is a pipe"):
        read_bytes(path)


def test_reading_takes_no_more_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(200_000))
    assert read_bytes(path, 200_000) == bytes(200_000)
    with pytest.raises(UserError, match="longer than 199,999 bytes"):
        read_bytes(path, 199_999)
    assert read_bytes(Path("/proc/self/status")).startswith(b"Name:")  # whose size is said to be 0
    with pytest.raises(UserError, match="longer than 10 bytes"):
        read_bytes(Path("/proc/self/status"), 10)
    with pytest.raises(UserError, match=r"cannot read a\\x00b: it cannot be a name here"):
        read_bytes(Path("a\0b"))
    with pytest.raises(UserError, match="No such file"):
        read_bytes(tmp_path / "missing")
    os.truncate(path, 1 << 40)
    with pytest.raises(UserError, match="longer than 1,073,741,824 bytes"):
        read_bytes(path)
