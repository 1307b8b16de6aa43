"""A session that does everything that a child of the sandbox must not be able to do."""

import ctypes
import gc
import os
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
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
