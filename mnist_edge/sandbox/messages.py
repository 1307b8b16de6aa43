"""Messages between a process and its sandbox: JSON and plain arrays, so that reading one runs no code."""

import json
import math
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_edge.types import AnyArray

MAX_HEADER = 1 << 24
"""Most bytes of a message's JSON."""

MAX_BODY = 1 << 31
"""Most bytes of a message's arrays and blobs."""

_DTYPES = {"<f4", "<f8", "|i1", "|u1", "<i4", "<i8", "|b1"}
_LENGTHS = struct.Struct("<QQ")


class MessageError(Exception):
    """A message is not understood."""


def send(
    connection: socket.socket, values: Mapping[str, Any], arrays: Mapping[str, AnyArray], blobs: Sequence[bytes] = ()
) -> None:
    """Send JSON values, arrays by name, and bytes."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    header = json.dumps({"values": values, "arrays": described, "blobs": [len(blob) for blob in blobs]}).encode()
    body = [array.tobytes() for array in plain.values()]
    length = sum(map(len, (*body, *blobs)))
    connection.sendall(_LENGTHS.pack(len(header), length) + header)
    for part in (*body, *blobs):
        connection.sendall(part)


def receive(connection: socket.socket) -> tuple[dict[str, Any], dict[str, AnyArray], list[bytes]]:
    """Return what `send` sent.

    Raises:
        EOFError: the other side closed the connection.
        MessageError: it is not a message, or too long a one.
    """
    header_length, body_length = _LENGTHS.unpack(_read(connection, _LENGTHS.size))
    if header_length > MAX_HEADER or body_length > MAX_BODY:
        raise MessageError("the message is too long")
    try:
        header = json.loads(_read(connection, header_length))
        return _unpack(header, memoryview(_read(connection, body_length)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MessageError("the message is damaged") from error


def _unpack(header: Any, body: memoryview) -> tuple[dict[str, Any], dict[str, AnyArray], list[bytes]]:  # noqa: ANN401
    start = 0
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        if dtype not in _DTYPES:
            raise ValueError(f"an array of {dtype}")
        count = math.prod(shape)
        arrays[str(name)] = np.frombuffer(body, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype)
        start += count * np.dtype(dtype).itemsize
    blobs = []
    for length in header["blobs"]:
        blobs.append(bytes(body[start : start + length]))
        start += length
    if start != len(body) or not isinstance(header["values"], dict):
        raise ValueError("the lengths do not fit")
    return header["values"], arrays, blobs


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the connection was closed")
        view = view[count:]
    return bytes(data)
