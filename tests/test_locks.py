import threading
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.locks import locked


def test_readers_share_a_lock_and_writers_do_not(tmp_path: Path) -> None:
    order: list[str] = []

    def write() -> None:
        with locked(tmp_path):
            order.append("written")

    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.1)
        order.append("read")
    writer.join()
    assert order == ["read", "written"]
    with pytest.raises(UserError, match=r"cannot lock .*: No such file"), locked(tmp_path / "missing"):
        pass
    with locked(tmp_path / "missing", shared=True):
        pass
