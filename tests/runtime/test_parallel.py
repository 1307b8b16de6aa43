import os

import pytest

from mnist_edge.errors import UserError
from mnist_edge.runtime import parallel
from mnist_edge.runtime.recognizer import Recognizer
from tests.conftest import ROOT


def test_processes_give_the_same_answers_in_the_same_order() -> None:
    recognizer = Recognizer(min_confidence=0.5)
    paths = [str(ROOT / "examples" / name) for name in ("two.png", "five.png", "missing.png", "seven.png")]
    pictures: list[parallel.FileSource] = [*paths, (ROOT / "examples" / "two.png").read_bytes()] * 30
    assert list(parallel.stream(recognizer, pictures, jobs=2)) == recognizer.predict(pictures)


class Killed(Recognizer):
    """A recognizer whose process is gone as soon as it answers."""

    def predict(self, pictures: object) -> None:  # type: ignore[override] # noqa: ARG002
        os._exit(1)


def test_a_killed_process_is_one_error() -> None:
    with pytest.raises(UserError, match="a process that read pictures was killed"):
        list(parallel.stream(Killed(), [str(ROOT / "examples" / "two.png")], jobs=1))
