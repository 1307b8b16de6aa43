"""A session that does everything that a child of the sandbox must not be able to do."""

import ctypes
import fcntl
import gc
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnist_edge.errors import ArtifactError
from mnist_edge.types import AnyArray

Values = dict[str, Any]
Arrays = Mapping[str, AnyArray]


def warm_up() -> None:
    """Open nothing beforehand."""


class Session:
    """Takes a word and does what it says."""

    def __init__(self, data: bytes) -> None:
        if data == b"hang":
            time.sleep(1_000)
        if data == b"crash":
            ctypes.string_at(0)
        if data == b"refuse":
            raise ArtifactError("it refuses")
        self.data = data

    def call_echo(self, values: Values, arrays: Arrays) -> tuple[Values, Arrays]:
        return {**values, "length": len(self.data), "process": os.getpid()}, arrays

    def call_read(self, values: Values, _: Arrays) -> tuple[Values, Arrays]:
        return self._tried(lambda: Path(values["path"]).read_bytes())

    def call_write(self, values: Values, _: Arrays) -> tuple[Values, Arrays]:
        return self._tried(lambda: Path(values["path"]).write_bytes(b"written"))

    def call_connect(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        return self._tried(socket.socket)

    def call_start(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        return self._tried(lambda: subprocess.run(["true"], check=True, capture_output=True))

    def call_alter(self, values: Values, _: Arrays) -> tuple[Values, Arrays]:
        path, process = Path(values["path"]), values["process"]
        other = path.with_name("other")
        actions: dict[str, Callable[[], object]] = {
            "unlink": path.unlink,
            "truncate": lambda: os.truncate(path, 0),
            "rename": lambda: path.rename(other),
            "link": lambda: os.link(path, other),
            "symlink": lambda: other.symlink_to(path),
            "mkdir": other.mkdir,
            "rmdir": Path(values["folder"]).rmdir,
            "chmod": lambda: path.chmod(0),
            "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
            "utime": lambda: os.utime(path, (0, 0)),
            "chdir": lambda: os.chdir("/"),
            "kill": lambda: os.kill(process, signal.SIGTERM),
            "read memory": lambda: self._copy_memory("process_vm_readv", values["parent"], values["address"]),
            "write memory": lambda: self._copy_memory("process_vm_writev", values["parent"], values["address"]),
            "trace": lambda: self._called("ptrace", 16, process, None, None),  # PTRACE_ATTACH
            "raise a limit": lambda: self._called("setrlimit", resource.RLIMIT_NOFILE, (ctypes.c_ulong * 2)(99, 99)),
            "outlive the parent": lambda: self._called("prctl", 1, 0),
            "signal another by input": lambda: fcntl.fcntl(self._connection(), fcntl.F_SETOWN, process),
            "fork": self._fork,
            "execute": lambda: os.execv("/bin/true", ["true"]),
        }
        return {"done": [name for name, action in actions.items() if "done" in self._tried(action)[0]]}, {}

    def call_thread(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        found: list[int] = []
        thread = threading.Thread(target=found.append, args=(7,))
        thread.start()
        thread.join()
        return {"found": found}, {}

    @staticmethod
    def _fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    @staticmethod
    def _copy_memory(name: str, process: int, address: int) -> None:
        """Copy eight bytes of this process to or from another."""
        ours = ctypes.create_string_buffer(b"altered", 8)
        here, there = ((ctypes.c_size_t * 2)(start, 8) for start in (ctypes.addressof(ours), address))
        Session._called(name, process, here, 1, there, 1, 0)

    @staticmethod
    def _called(name: str, *arguments: object) -> None:
        """Call a function of the C library; raises `OSError` where it fails."""
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    def call_fill_memory(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        return {"size": int(np.ones(4 << 30, np.uint8).sum())}, {}

    def call_hang(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        while True:
            pass

    def call_crash(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        ctypes.string_at(0)
        return {}, {}

    def call_lie(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        return {}, {"objects": np.array([object()], dtype=object)}

    def call_drip(self, _: Values, __: Arrays) -> tuple[Values, Arrays]:
        for byte in struct.pack("<QQ", 30, 0):
            time.sleep(0.2)
            self._connection().send(bytes([byte]))
        return {}, {}

    def call_claim(self, values: Values, __: Arrays) -> tuple[Values, Arrays]:
        self._connection().send(struct.pack("<QQ", values["header"], values["body"]))
        return self.call_hang({}, {})

    def call_describe_wrongly(self, values: Values, _: Arrays) -> tuple[Values, Arrays]:
        header = b'{"values": {}, "blobs": [], "arrays": [["x", "<f4", [' + str(values["side"]).encode() + b"]]]}"
        self._connection().send(struct.pack("<QQ", len(header), 4) + header + bytes(4))
        return self.call_hang({}, {})

    @staticmethod
    def _connection() -> socket.socket:
        found = [thing for thing in gc.get_objects() if isinstance(thing, socket.socket) and thing.fileno() >= 0]
        (connection,) = found
        return connection

    @staticmethod
    def _tried(action: Any) -> tuple[Values, Arrays]:  # noqa: ANN401
        try:
            action()
        except OSError as error:
            return {"refused": type(error).__name__}, {}
        return {"done": True}, {}
