import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from mnist_edge.errors import UserError
from mnist_edge.runtime import parallel
from mnist_edge.runtime.prediction import Prediction
from mnist_edge.runtime.recognizer import Recognizer
from tests.conftest import ROOT


@pytest.mark.slow
def test_processes_give_the_same_answers_in_the_same_order() -> None:
    recognizer = Recognizer(min_confidence=0.5)
    paths = [str(ROOT / "examples" / name) for name in ("two.png", "five.png", "missing.png", "seven.png")]
    pictures: list[parallel.FileSource] = [*paths, (ROOT / "examples" / "two.png").read_bytes()] * 30
    assert list(parallel.stream(recognizer, pictures, jobs=2, answering=parallel.predict)) == recognizer.predict(
        pictures
    )


class Killed(Recognizer):
    """A recognizer whose process is gone as soon as it answers."""

    def predict(self, pictures: object) -> None:  # type: ignore[override] # noqa: ARG002
        os._exit(1)


@pytest.mark.slow
def test_a_killed_process_is_one_error() -> None:
    with pytest.raises(UserError, match="a process that read pictures was killed"):
        list(parallel.stream(Killed(), [str(ROOT / "examples" / "two.png")], jobs=1, answering=parallel.predict))


class Buggy(Recognizer):
    """A recognizer with a bug."""

    def predict(self, pictures: object) -> None:  # type: ignore[override] # noqa: ARG002
        raise ZeroDivisionError("a bug")


@pytest.mark.slow
def test_a_bug_in_a_process_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(parallel.stream(Buggy(), [str(ROOT / "examples" / "two.png")], jobs=1, answering=parallel.predict))


def test_an_error_of_whoever_names_pictures_comes_after_the_answers_before_it() -> None:
    two = str(ROOT / "examples" / "two.png")

    def names() -> Iterator[parallel.FileSource]:
        yield from [two] * 5
        raise UserError("no more names")

    answers: list[Prediction] = []
    with pytest.raises(UserError, match="no more names"):
        answers.extend(parallel.stream(Recognizer(), names(), jobs=2, answering=parallel.predict))
    assert [answer.digit for answer in answers] == [2] * 5


def test_an_answer_comes_before_the_next_picture_is_named() -> None:
    two = str(ROOT / "examples" / "two.png")
    answered = threading.Event()

    def names() -> Iterator[parallel.FileSource]:
        for _ in range(3):
            yield two
            assert answered.wait(60)
            answered.clear()

    count = 0
    for answer in parallel.stream(Recognizer(), names(), jobs=2, answering=parallel.predict):
        assert answer.digit == 2
        count += 1
        answered.set()
    assert count == 3


def test_names_without_an_end_are_taken_as_they_are_needed() -> None:
    taken = []

    def names() -> Iterator[parallel.FileSource]:
        while True:
            taken.append(1)
            yield str(ROOT / "examples" / "missing.png")

    answers = parallel.stream(Recognizer(), names(), jobs=1, answering=parallel.predict)
    assert [next(answers).status for _ in range(3)] == ["unreadable"] * 3
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) <= parallel.CHUNKS_AHEAD * parallel.CHUNK_PICTURES + 3 + 64


def test_the_first_process_starts_without_hearing_ctrl_c_too() -> None:
    """Python starts a tracker of resources with the first one, and lets SIGINT through again after it."""
    program = (
        "import signal\n"
        "from multiprocessing import resource_tracker\n"
        "from mnist_edge.runtime.parallel import _ctrl_c_kept_from_children\n"
        "with _ctrl_c_kept_from_children():\n"
        "    resource_tracker.ensure_running()\n"
        "    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
