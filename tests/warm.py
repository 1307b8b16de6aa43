"""A Python that has everything imported already, for tests that run the command line in a process of its own.

    python -IS tests/warm.py -m mnist_edge verify ...
    python -IS tests/warm.py -c PROGRAM ...

do what `python -m` and `python -c` do, in a fork of a server that imported PyTorch and the exporters before: a test of
a command does not wait four seconds for them each time. The fork has the caller's streams, folder, environment and
limits, hears its signals, and ends with the exit code of an interpreter. What depends on a fresh interpreter (what is
imported when, variables that libraries read while they load, what they do at the end, SIGKILL) is tested with
`sys.executable`.

The processes in which pytest-xdist runs tests are such forks, too. `conftest.py` starts the server, which imports
nothing before it is first asked; without one, a fresh interpreter runs.
"""

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path
from typing import TypedDict

SOCKET = "MNIST_EDGE_TESTS_WARM"
"""Environment variable with the path of the server's socket."""

PYTHON = (sys.executable, "-IS", str(Path(__file__).resolve()))
"""Takes `-m MODULE ARGUMENTS` or `-c PROGRAM ARGUMENTS`, as `sys.executable` does."""

GC_THRESHOLD = (200_000, 30, 30)
"""New objects, and rounds, after which Python looks for garbage in cycles; as mypy sets it."""

LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
FORWARDED = (signal.SIGINT, signal.SIGTERM)
NUMBER = struct.Struct("<q")


class Request(TypedDict):
    """An interpreter that is asked for: its arguments, and what it would inherit."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    limits: list[tuple[int, int, int]]
    ignored: list[int]


def client() -> None:
    """Run the interpreter's arguments in a fork of the server, and end as it ends."""
    path = os.environ.pop(SOCKET, None)
    if path is None:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    request = Request(
        arguments=sys.argv[1:],
        folder=str(Path.cwd()),
        environment=dict(os.environ),
        limits=[(kind, *resource.getrlimit(kind)) for kind in LIMITS],
        ignored=[number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN],
    )
    data = json.dumps(request).encode()
    socket.send_fds(connection, [NUMBER.pack(len(data))], [0, 1, 2])
    connection.sendall(data)
    (process,) = NUMBER.unpack(connection.recv(NUMBER.size))
    for number in FORWARDED:
        if number not in request["ignored"]:
            signal.signal(number, lambda received, _: os.kill(process, received))
    (status,) = NUMBER.unpack(connection.recv(NUMBER.size))
    if os.WIFSIGNALED(status):
        with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


class Server:
    """Forks a child for each client, until its stdin is closed."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(self.wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.running: dict[int, socket.socket] = {}
        self.warm = False

    def serve(self) -> Request:
        """Serve; return in a child, with what it shall run."""
        while True:
            sources: list[int | socket.socket] = [0, self.woken, self.listener, *self.running.values()]
            ready, _, _ = select.select(sources, [], [])
            if 0 in ready:
                os._exit(0)
            if self.woken in ready:
                os.read(self.woken, 1_000)
            for process, connection in list(self.running.items()):
                self._watch(process, connection, gone=connection in ready)
            if self.listener in ready and (request := self._fork()):
                return request

    def _watch(self, process: int, connection: socket.socket, *, gone: bool) -> None:
        """Report the end of a child to its client; end a child whose client is gone."""
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError):
                connection.sendall(NUMBER.pack(status))
        elif gone:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        else:
            return
        self.running.pop(process).close()

    def _fork(self) -> Request | None:
        """Take a client's request and fork; in the child, return it."""
        if not self.warm:
            import_everything()
            self.warm = True
        connection, _ = self.listener.accept()
        head, streams, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
        with connection.makefile("rb") as incoming:
            data = incoming.read(NUMBER.unpack(head)[0])
        process = os.fork()
        if process:
            for descriptor in streams:
                os.close(descriptor)
            connection.sendall(NUMBER.pack(process))
            self.running[process] = connection
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        for descriptor in (*streams, self.woken, self.wake):
            os.close(descriptor)
        for each in (self.listener, connection, *self.running.values()):
            each.close()
        request: Request = json.loads(data)
        return request


def import_everything() -> None:
    """Import all that a command may import, and let the exporters build their tables."""
    import torch
    from torch import nn

    import mnist_edge

    compiler = "executorch.backends.xnnpack.partition.xnnpack_partitioner"  # which a runner leaves out
    modules = [compiler, *(module.name for module in pkgutil.walk_packages(mnist_edge.__path__, "mnist_edge."))]
    for name in modules:
        if not name.endswith("__main__"):
            with contextlib.suppress(Exception):  # it may need what is not installed; a test that needs it says so
                importlib.import_module(name)
    importlib.import_module("tqdm").tqdm.monitor_interval = 0  # no thread that watches the progress
    torch.zeros(64, 64) @ torch.zeros(64, 64)  # MKL reads `MKL_CBWR` at its first product: every fork rounds alike
    parse_operators_once()
    list_operators_once()
    with contextlib.redirect_stdout(sys.stderr):
        torch.onnx.export(nn.Linear(2, 2).eval(), (torch.zeros(1, 2),), opset_version=18, dynamo=True, verbose=False)
    assert threading.active_count() == 1, "another thread may hold a lock when this one forks"
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def end_quickly() -> None:
    """Skip the clearing of modules and the destructors of C++ libraries, of which a fresh interpreter has far fewer.

    The exit code, tracebacks, and what was written to stdout and stderr are as they would be.
    """
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    if hasattr(libc, "on_exit"):  # of glibc: it calls with the exit code, before destructors of what was loaded earlier
        libc.on_exit(libc._exit, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(dict(sys.modules)))
    for name in sys.modules.keys() - {"__main__", "builtins", "sys"}:
        del sys.modules[name]


def parse_operators_once() -> None:
    """Have torch's exporter read the source of ONNX's 500 operators once in a process: half of what an export takes."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    once = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    ONNXRegistry.from_torchlib = once  # type: ignore[method-assign]


def list_operators_once() -> None:
    """Have torch.export look up its composite operators once in a process, not a dozen times in each export."""
    from torch._export import utils

    utils._materialize_cpp_cia_ops = functools.cache(utils._materialize_cpp_cia_ops)


def run(request: Request) -> None:
    """Be the interpreter that was asked for."""
    for kind, soft, hard in request["limits"]:
        resource.setrlimit(kind, (soft, hard))
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else default)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding)
    sys.stdout = _writer(1, encoding, errors or "strict")
    sys.stderr = _writer(2, encoding, "backslashreplace")
    given = request["arguments"]
    if given[0] == "-u":  # execnet asks for streams without a buffer, and opens its own
        given = given[1:]
    how, what, *arguments = given
    if how == "-m":
        sys.path[0], sys.argv = request["folder"], [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        assert how == "-c", how
        sys.path[0], sys.argv = "", ["-c", *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _writer(descriptor: int, encoding: str, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    by_line = raw.isatty() or descriptor == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        atexit.register(end_quickly)  # what is registered first is called last
        run(Server(sys.argv[2]).serve())
    else:
        client()
