"""Kills at random moments: nothing is lost, no file is a part of one, and the next write leaves nothing behind."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_edge.atomic import atomic_write

KILLS = 200
FILES = ("a", "b", "c")
LENGTH = 200_000

WRITER = """
import os, sys
from pathlib import Path
from mnist_edge import atomic

folder, way = Path(sys.argv[1]), sys.argv[2]
if way == "named":
    del os.O_TMPFILE
print("ready", flush=True)
number = 0
while True:
    number = (number + 1) % 256
    atomic.atomic_write(folder / "alone", bytes([number]) * LENGTH)
    with atomic.transaction() as changes:
        for name in FILES:
            changes.write(folder / name, bytes([number]) * LENGTH)
        changes.write_folder(folder / "d", {"x": bytes([number]) * LENGTH, "y": bytes([number]) * LENGTH})
"""


def whole(data: bytes) -> bool:
    return len(data) == LENGTH and data == data[:1] * LENGTH


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a folder is replaced in two steps")
@pytest.mark.parametrize("way", ["unnamed", "named"])
def test_kills_at_random_moments(way: str, tmp_path: Path) -> None:
    moments = random.Random(0)
    left = 0
    for path in (tmp_path / "alone", *(tmp_path / name for name in FILES)):
        path.write_bytes(bytes(LENGTH))
    (tmp_path / "d").mkdir()
    for name in ("x", "y"):
        (tmp_path / "d" / name).write_bytes(bytes(LENGTH))
    expected = {"alone", "d", "last", *FILES}
    for _ in range(KILLS // 2):
        program = WRITER.replace("LENGTH", str(LENGTH)).replace("FILES", repr(FILES))
        with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), way], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(moments.uniform(0, 0.08))
            writer.send_signal(signal.SIGKILL)
        left += len({path.name for path in tmp_path.iterdir()} - expected)
        for name in ("alone", *FILES):
            assert whole((tmp_path / name).read_bytes()), name
        x, y = ((tmp_path / "d" / name).read_bytes() for name in ("x", "y"))
        assert whole(x)
        assert x == y, "the folder is of two writes"
        atomic_write(tmp_path / "last", b"")
        assert {path.name for path in tmp_path.iterdir()} == expected
    assert left > 0 or way == "unnamed"  # the kills did hit what they were meant to
