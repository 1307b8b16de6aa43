"""The other side of `mnist_edge.sandbox.client`: a server that forks children, and what a child does. POSIX only."""

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from mnist_edge.errors import ArtifactError
from mnist_edge.sandbox.client import PROCESS, REQUEST_LENGTH, TIMED_CALL, run_call, time_calls
from mnist_edge.sandbox.messages import MessageError, receive, send
from mnist_edge.sandbox.system_calls import restrict_system_calls

CPU_SECONDS = 600
"""Most CPU time of a child, whatever its parent does."""

EXTRA_MEMORY = 1 << 30
"""Most bytes of address space that a child may add to what the runtime takes."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(descriptor: int) -> None:
    """Serve on a control socket until the other side closes it.

    Each message is the name of a module, with a descriptor; on that descriptor it is answered with the process number
    of a child that serves sessions of the module there.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    warm: set[str] = set()
    with socket.socket(fileno=descriptor) as control:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, REQUEST_LENGTH, 1)
            if not message:
                return
            name = message.decode().rstrip()
            module = importlib.import_module(name)
            if name not in warm:
                module.warm_up()  # kernels open their libraries when they are first used, and children can't
                warm.add(name)
            with socket.socket(fileno=descriptors[0]) as connection:
                process = os.fork()
                if process == 0:
                    control.close()
                    _serve(connection, module.Session)
                    os._exit(0)
                with contextlib.suppress(OSError):  # the other side gave up meanwhile
                    connection.sendall(PROCESS.pack(process))


def _serve(connection: socket.socket, make_session: type) -> None:
    """Answer calls on a connection until it is closed."""
    _drop_rights()
    session: object = None
    with contextlib.suppress(EOFError, OSError, MessageError):
        while True:
            values, arrays, blobs = receive(connection)
            name = values.pop("call")
            try:
                if name == "open":
                    session = make_session(blobs[0])
                    send(connection, {}, {})
                elif name == TIMED_CALL:
                    send(connection, *time_calls(session, values, arrays))
                else:
                    send(connection, *run_call(session, name, values, arrays))
            except ArtifactError as error:
                send(connection, {"error": str(error)}, {})
            except MemoryError:
                send(connection, {"error": "it needs too much memory"}, {})


def _drop_rights() -> None:
    """Let this process open no file and write to none, and limit its time.

    On Linux its memory is limited too, and it ends with its parent. Where Linux can filter system calls, on x86-64 and
    aarch64, it also reaches no file by its name and no other process, and starts none. What is open already, the
    connection, stays usable.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        memory = pages * resource.getpagesize() + EXTRA_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for nothing in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(nothing, (0, 0))
    if sys.platform == "linux":
        restrict_system_calls()
