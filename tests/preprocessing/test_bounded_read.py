import errno
import os
import socket
import time
from pathlib import Path

import pytest

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.bounded_read import read_file

SECONDS = 2.0


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PictureError, match=r"^it is too large: more than 32 MB"):
        read_file(path)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
    expected: dict[str | Path, str] = {
        tmp_path / "pipe.png": "^it is a pipe",
        tmp_path / "socket.png": "^it is a device or a socket",
        tmp_path / "folder.png": "Is a directory",
        tmp_path / "dangling.png": "No such file",
        tmp_path / "circle.png": "symbolic links",
        "/dev/zero": "a device or a socket",
        "/dev/null": "a device or a socket",
        "nul\0.png": "impossible file name",
        "x" * 5000: "File name too long",
    }
    start = time.monotonic()
    for path, message in expected.items():
        with pytest.raises(PictureError, match=message):
            read_file(path)
    assert time.monotonic() - start < SECONDS


def test_a_file_without_permission_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is the system's, given here, since root may read everything."""
    path = tmp_path / "secret.png"
    path.write_bytes(b"content")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PictureError, match=r"^Permission denied$"):
        read_file(path)


def test_a_file_that_the_system_makes_up_is_read_to_its_end() -> None:
    assert read_file("/proc/self/status").startswith(b"Name:")
