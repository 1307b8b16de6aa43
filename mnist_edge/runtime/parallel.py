"""Predictions by several processes, in order, each as soon as it and all before it are known."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from mnist_edge.errors import UserError
from mnist_edge.runtime.number import Number
from mnist_edge.runtime.prediction import Prediction
from mnist_edge.runtime.recognizer import Recognizer

CHUNK_PICTURES = 64
"""Pictures that a process takes at most at once."""

CHUNKS_AHEAD = 4
"""Chunks for each process that are taken from the caller before the first answer of them is waited for."""

FileSource = str | bytes
"""A picture that can be sent to another process: a path, or the content of a file."""

Answer = TypeVar("Answer")

Answering = Callable[[Recognizer, list[FileSource]], list[Answer]]
"""Answers pictures in a process: `predict` or `read`."""


def predict(recognizer: Recognizer, pictures: list[FileSource]) -> list[Prediction]:
    """Return the digit in each picture."""
    return recognizer.predict(pictures)


def read(recognizer: Recognizer, pictures: list[FileSource]) -> list[Number]:
    """Return the number in each picture."""
    return [recognizer.read(picture) for picture in pictures]


def stream(
    recognizer: Recognizer, pictures: Iterable[FileSource], jobs: int, answering: Answering[Answer]
) -> Iterator[Answer]:
    """Yield the answer to each picture, in order, as `Recognizer.stream` does, by `jobs` processes.

    The processes are spawned, so that they share nothing with this one, and end with it, however it ends: there are
    only pipes between them, which the system closes. The pictures are taken by a thread, since whoever names them may
    be slow, while answers are waited for here.

    Raises:
        UserError: a process was killed.
    """
    with _workers(recognizer, jobs, answering) as workers:
        dispatcher: _Dispatcher[Answer] = _Dispatcher(workers)
        yield from dispatcher.run(pictures)


@contextmanager
def _workers(recognizer: Recognizer, jobs: int, answering: Answering[Any]) -> Iterator[list[Connection]]:
    """Start processes and give the pipes to them; end them, in the middle of a call of the model too."""
    spawn = get_context("spawn")
    processes: list[SpawnProcess] = []
    pipes: list[Connection] = []
    try:
        for _ in range(jobs):
            ours, theirs = spawn.Pipe()
            processes.append(spawn.Process(target=_work, args=(recognizer, theirs, answering), daemon=True))
            with _ctrl_c_kept_from_children():
                processes[-1].start()
            theirs.close()
            pipes.append(ours)
        yield pipes
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


class _Dispatcher(Generic[Answer]):
    """Pictures on their way to the processes, and answers on their way back.

    A process that is idle takes its share of the pictures that wait: many where the processes are the slower, a single
    one where those who name them are.
    """

    def __init__(self, workers: list[Connection]) -> None:
        self._idle = list(workers)
        self._busy: dict[Connection, range] = {}
        self._waiting: deque[FileSource] = deque()
        self._handed_out = 0
        self._answers: dict[int, Answer] = {}
        self._room = threading.Semaphore(len(workers) * CHUNKS_AHEAD * CHUNK_PICTURES)
        self._woken, self._wakes = connection.Pipe(duplex=False)
        self._awake = self._ended = self._abandoned = False
        self._failure: BaseException | None = None

    def run(self, pictures: Iterable[FileSource]) -> Iterator[Answer]:
        """Yield the answers in order; raises what `pictures` raises, after the answers before it."""
        threading.Thread(target=self._take, args=(pictures,), daemon=True).start()
        try:
            yield from self._in_order()
        finally:
            self._abandoned = True
            self._room.release()
        if self._failure:
            raise self._failure

    def _in_order(self) -> Iterator[Answer]:
        number = 0
        while True:
            ended = self._ended  # before what waits is looked at: the last pictures come before the end
            while self._waiting and self._idle:
                self._hand_out()
            while number in self._answers:
                yield self._answers.pop(number)
                self._room.release()
                number += 1
            if ended and not self._busy and not self._waiting:
                return
            for ready in connection.wait([self._woken, *self._busy]):
                if ready is self._woken:
                    self._woken.recv_bytes()
                    self._awake = False  # before what waits is looked at
                else:
                    self._receive(ready)  # type: ignore[arg-type]

    def _hand_out(self) -> None:
        """Send an idle process its share of the pictures that wait."""
        workers = len(self._idle) + len(self._busy)
        chunk = [self._waiting.popleft() for _ in range(min(CHUNK_PICTURES, -(-len(self._waiting) // workers)))]
        worker = self._idle.pop()
        self._busy[worker] = range(self._handed_out, self._handed_out + len(chunk))
        self._handed_out += len(chunk)
        with _killed_is_an_error():
            worker.send(chunk)

    def _receive(self, worker: Connection) -> None:
        with _killed_is_an_error():
            answers = worker.recv()
        if isinstance(answers, Exception):
            raise answers
        self._answers.update(zip(self._busy.pop(worker), answers, strict=True))
        self._idle.append(worker)

    def _take(self, pictures: Iterable[FileSource]) -> None:
        """Take pictures while there is room for them, in a thread of its own."""
        try:
            for picture in pictures:
                self._room.acquire()  # names may come without an end
                if self._abandoned:
                    return
                self._waiting.append(picture)
                self._wake()
        except BaseException as error:  # raised again where the answers are
            self._failure = error
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._wakes.send_bytes(b"\0")


@contextmanager
def _killed_is_an_error() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise UserError("a process that read pictures was killed: --jobs 1 needs the least memory") from error


@contextmanager
def _ctrl_c_kept_from_children() -> Iterator[None]:
    """Let processes start that never hear Ctrl-C, which is for the one that was started by hand.

    They begin with the signals blocked that are blocked here; while they start, they could not ignore it themselves.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which unblocks SIGINT once it has started; the first process would start it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(recognizer: Recognizer, pipe: Connection, answering: Answering[Any]) -> None:
    """Answer chunks of pictures, as a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            pictures = pipe.recv()
        except EOFError:
            return
        try:
            answers: object = answering(recognizer, pictures)
        except Exception as error:  # raised again in the parent
            answers = error
        pipe.send(answers)


def _end_with_parent() -> None:
    """Wait for the end of the parent, whose pipe to this process is closed by the system however it ends."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
