"""Predictions by several processes, in order."""

import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context

from mnist_edge.errors import UserError
from mnist_edge.runtime.prediction import Prediction
from mnist_edge.runtime.recognizer import Recognizer

CHUNK_PICTURES = 64
"""Pictures that a process takes at once."""

CHUNKS_AHEAD = 4
"""Chunks for each process that are handed out before the first of them is waited for."""

FileSource = str | bytes
"""A picture that can be sent to another process: a path, or the content of a file."""

_recognizers: list[Recognizer] = []  # of a worker process, filled once when it starts


def stream(recognizer: Recognizer, pictures: Iterable[FileSource], jobs: int) -> Iterator[Prediction]:
    """Yield the answer to each picture, in order, as `Recognizer.stream` does, by `jobs` processes.

    The processes are spawned, so that they share nothing with this one.

    Raises:
        UserError: a process was killed.
    """
    pending: deque[Future[list[Prediction]]] = deque()
    remaining = iter(pictures)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (recognizer,)) as pool:
        try:
            while chunk := list(islice(remaining, CHUNK_PICTURES)):
                pending.append(pool.submit(_read, chunk))
                if len(pending) >= CHUNKS_AHEAD * jobs:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        except BrokenProcessPool as error:
            raise UserError("a process that read pictures was killed: --jobs 1 needs the least memory") from error
        finally:
            for future in pending:
                future.cancel()


def _start(recognizer: Recognizer) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that was started by hand
    _recognizers.append(recognizer)


def _read(pictures: list[FileSource]) -> list[Prediction]:
    return _recognizers[0].predict(pictures)
