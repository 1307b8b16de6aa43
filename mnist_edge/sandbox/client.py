"""A child process for artifacts that carry code: it has limits of time and memory, and can open no file.

TorchScript and `torch.export` archives hold programs. What their text shows is checked before they are loaded; loading
and running happen here all the same, since one library's parser is not a proof. The child can open nothing, and its
memory is limited on Linux. Where Linux filters its system calls (`mnist_edge.sandbox.system_calls`), it reaches nothing
but the socket to its parent, and the worst that is left are wrong answers, which the proof is for. Elsewhere, as on
macOS, it could still remove and rename files by their names, signal processes of the same user, and start programs that
have its limits.

A server process imports the runtime once and forks a child for each artifact. Where there is no `fork` (Windows), the
artifact runs in this process after its text was checked.
"""

import contextlib
import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from mnist_edge.errors import ArtifactError
from mnist_edge.outside import check_folder
from mnist_edge.sandbox.messages import MAX_REPLY, MessageError, encode, receive, transmit
from mnist_edge.types import AnyArray
from mnist_edge.usage import peak_memory, time_each

OPEN_SECONDS = 120.0
"""Most time for importing the runtime and loading an artifact."""

CALL_SECONDS = 60.0
"""Most time for one call; 1,000 images take a tenth of a second, one by one up to two."""

END_SECONDS = 5.0
"""Most time for the server to end when nothing needs it anymore."""

TIMED_CALL = "time"
"""The call that times calls of `predict`, where they are made: a message would take longer than most of them."""

Values = dict[str, Any]
Arrays = Mapping[str, AnyArray]


PROCESS = struct.Struct("<q")
"""A process number, as the server sends it."""

REQUEST_LENGTH = 256
"""Bytes of a request to the server, a module's name filled up with spaces: two requests are never read as one."""


class Session(Protocol):
    """An artifact that is open somewhere else."""

    def call(self, name: str, values: Values | None = None, arrays: Arrays | None = None) -> tuple[Values, Arrays]:
        """Call a method of the session and return its values and arrays; raises `ArtifactError` where it fails."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def open_session(module: str, data: bytes) -> Session:
    """Open an artifact in a child process.

    Args:
        module: dotted name of the module that runs it there: a class `Session(data)` with a method
            `call_NAME(values, arrays)` → (values, arrays) for each call, and a function `warm_up()`.
        data: the artifact's bytes, whose text was checked.

    Raises:
        ArtifactError: it can't be loaded within the limits.
        UserError: the current folder was deleted, in which no process can be started for it.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
        return _InProcess(module, data)
    session = _server().connect(module)
    try:
        session.request("open", {}, {}, [data], OPEN_SECONDS)
    except ArtifactError:
        session.close()
        raise
    return session


class _Sandboxed:
    """An artifact in a child process."""

    def __init__(self, connection: socket.socket, process: int, server: "_Server") -> None:
        self._connection = connection
        self._process = process
        self._server = server  # with which the child would end
        weakref.finalize(self, connection.close)  # where nobody closes it, the child ends with the last reference
        self._lock = threading.Lock()
        self._interrupted = False
        self._owner = os.getpid()

    def call(self, name: str, values: Values | None = None, arrays: Arrays | None = None) -> tuple[Values, Arrays]:
        return self.request(name, values or {}, arrays or {}, [], CALL_SECONDS)

    def request(
        self, name: str, values: Values, arrays: Arrays, blobs: list[bytes], seconds: float
    ) -> tuple[Values, Arrays]:
        if self._owner != os.getpid():  # a fork, whose calls and the owner's would be given each other's answers
            raise ArtifactError("it was opened by another process: open it in this one")
        with self._lock:
            reply, results = self._exchange({"call": name, **values}, arrays, blobs, seconds)
        if "error" in reply:
            raise ArtifactError(str(reply["error"]))
        return reply, results

    def _exchange(self, values: Values, arrays: Arrays, blobs: list[bytes], seconds: float) -> tuple[Values, Arrays]:
        """Send a message and return the answer to it; where that does not come, there are no further ones."""
        if self._interrupted:
            raise ArtifactError("a call of it was interrupted, which closed it: open it again")
        parts = encode(values, arrays, blobs)  # what goes wrong before anything is sent leaves the child as it was
        try:
            deadline = time.monotonic() + seconds
            transmit(self._connection, parts, deadline)
            del parts  # a copy of the arrays: its memory is free before the answer comes
            reply, results, _ = receive(self._connection, MAX_REPLY, deadline)
        except TimeoutError as error:
            self._kill()
            raise ArtifactError(f"it did not answer within {seconds:g} seconds") from error
        except MessageError as error:
            self._kill()
            raise ArtifactError("it ended the process that runs it") from error
        except (OSError, EOFError) as error:
            self.close()  # its number may be another process's by now
            raise ArtifactError("it ended the process that runs it") from error
        except BaseException:  # Ctrl-C, or what the handler of another signal raises
            self._interrupted = True
            self._kill()  # the next call would be given the answer to this one
            raise
        return reply, results

    def _kill(self) -> None:
        """End a child that still holds the connection."""
        with contextlib.suppress(OSError):
            os.kill(self._process, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Close the connection, at whose end the child ends itself."""
        self._connection.close()


class _InProcess:
    """An artifact in this process."""

    def __init__(self, module: str, data: bytes) -> None:
        self._session: object = importlib.import_module(module).Session(data)

    def call(self, name: str, values: Values | None = None, arrays: Arrays | None = None) -> tuple[Values, Arrays]:
        if name == TIMED_CALL:
            return time_calls(self._session, values or {}, arrays or {})
        return run_call(self._session, name, values or {}, arrays or {})

    def close(self) -> None:
        del self._session


class _Server:
    """The process that forks a child for each artifact.

    It ends when nothing refers to it anymore: it is not the one to ask, and no session of it is left.
    """

    def __init__(self) -> None:
        check_folder()
        self.owner = os.getpid()
        self._control, theirs = socket.socketpair()
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from mnist_edge.sandbox.server import main; main({theirs.fileno()})"
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with a program of our own
                [sys.executable, "-c", program],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the process that was started by hand
            )
        weakref.finalize(self, _end, self._control, self._process, self.owner)

    def connect(self, module: str) -> _Sandboxed:
        """Return a session of a module, to be opened, in a new child.

        The number comes over the child's own connection, so threads that open artifacts at once can't take another's.

        Raises:
            ArtifactError: the server has ended, or took too long; it is not asked again.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [module.encode().ljust(REQUEST_LENGTH)], [theirs.fileno()])
            ours.settimeout(OPEN_SECONDS)
            process, *_ = PROCESS.unpack(ours.recv(PROCESS.size))
        except (OSError, struct.error) as error:
            ours.close()
            with _lock:
                if self in _servers:
                    _servers.remove(self)
            raise ArtifactError("the process that runs such artifacts could not be started") from error
        return _Sandboxed(ours, process, self)

    def alive(self) -> bool:
        """Say whether it can be used by this process."""
        return self.owner == os.getpid() and self._process.poll() is None


def _end(control: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    """Close the connection to a server, at whose end it ends itself; kill it if it does not."""
    control.close()
    if owner != os.getpid():
        return
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_lock = threading.Lock()
_servers: list[_Server] = []


def _server() -> _Server:
    """Return the server of this process, started when it is first needed."""
    with _lock:
        if not _servers or not _servers[-1].alive():
            _servers[:] = [_Server()]
        return _servers[-1]


def run_call(session: object, name: str, values: Values, arrays: Arrays) -> tuple[Values, Arrays]:
    """Call a method of a session; raises what that raises."""
    result: tuple[Values, Arrays] = getattr(session, f"call_{name}")(values, arrays)
    return result


def time_calls(session: object, values: Values, arrays: Arrays) -> tuple[Values, Arrays]:
    """Call `predict` with one image after the other, again and again for `seconds`.

    Returns:
        The most memory that this process has taken, in KiB, as far as the system says; and how long each call took, in
        seconds, float64 `[calls]`.
    """
    images = arrays["images"]
    found = time_each(
        lambda image: run_call(session, "predict", {"batch": 1}, {"images": image}), images, values["seconds"]
    )
    return {"peak": peak_memory()}, {"seconds": found}
