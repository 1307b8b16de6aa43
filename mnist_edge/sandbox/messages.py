"""Messages between a process and its sandbox: JSON and plain arrays, so that reading one runs no code."""

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_edge.types import AnyArray

MAX_HEADER = 8 << 20
"""Most bytes of a message's JSON: an artifact's test vectors are a text of at most 4 MB in it."""

MAX_BODY = 1 << 31
"""Most bytes of a message's arrays and blobs."""

MAX_REPLY = 512 << 20
"""Most bytes of the arrays that a child answers with: it has them twice, and 1 GiB of memory for everything."""

_DTYPES = {"<f4", "<f8", "|i1", "|u1", "<i4", "<i8", "|b1"}
_MAX_SIDES = 32
"""Most dimensions of an array: what every version of numpy takes."""

_LENGTHS = struct.Struct("<QQ")


class MessageError(Exception):
    """A message is not understood."""


def send(
    connection: socket.socket, values: Mapping[str, Any], arrays: Mapping[str, AnyArray], blobs: Sequence[bytes] = ()
) -> None:
    """Send JSON values, arrays by name, and bytes, however long that takes."""
    transmit(connection, encode(values, arrays, blobs), math.inf)


def encode(values: Mapping[str, Any], arrays: Mapping[str, AnyArray], blobs: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a message of JSON values, arrays by name, and bytes, in parts."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    header = json.dumps({"values": values, "arrays": described, "blobs": [len(blob) for blob in blobs]}).encode()
    body = [array.tobytes() for array in plain.values()]
    length = sum(map(len, (*body, *blobs)))
    return _LENGTHS.pack(len(header), length), header, *body, *blobs


def transmit(connection: socket.socket, parts: Sequence[bytes], deadline: float) -> None:
    """Send a message that was encoded.

    Raises:
        TimeoutError: it is not sent by a time of `time.monotonic()`.
    """
    for part in parts:
        _wait_until(deadline, connection)
        connection.sendall(part)


def receive(
    connection: socket.socket, max_body: int = MAX_BODY, deadline: float = math.inf
) -> tuple[dict[str, Any], dict[str, AnyArray], list[bytes]]:
    """Return what `send` sent.

    Raises:
        EOFError: the other side closed the connection.
        TimeoutError: it is not there by a time of `time.monotonic()`.
        MessageError: it is not a message, is too long, or there is no memory for it.
    """
    header_length, body_length = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if header_length > MAX_HEADER or body_length > max_body:
        raise MessageError("the message is too long")
    try:
        header = json.loads(_read(connection, header_length, deadline))
        return _unpack(header, memoryview(_read(connection, body_length, deadline)))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise MessageError("the message is damaged") from error
    except MemoryError as error:
        raise MessageError("there is no memory for the message") from error


def _unpack(header: Any, body: memoryview) -> tuple[dict[str, Any], dict[str, AnyArray], list[bytes]]:  # noqa: ANN401
    start = 0
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        if dtype not in _DTYPES:
            raise ValueError(f"an array of {dtype}")
        if len(shape) > _MAX_SIDES:
            raise ValueError("an array of too many sides")
        count = math.prod([_whole(side) for side in shape])
        arrays[str(name)] = np.frombuffer(body, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype)
        start += count * np.dtype(dtype).itemsize
    blobs = []
    for length in map(_whole, header["blobs"]):
        blobs.append(bytes(body[start : start + length]))
        start += length
    if start != len(body) or not isinstance(header["values"], dict):
        raise ValueError("the lengths do not fit")
    return header["values"], arrays, blobs


def _whole(number: Any) -> int:  # noqa: ANN401
    """Return a length as it is; raises `ValueError` where it is none: a negative one would read bytes again."""
    if type(number) is not int or number < 0:
        raise ValueError("a length is not a whole number")
    return number


def _read(connection: socket.socket, length: int, deadline: float) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        _wait_until(deadline, connection)
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the connection was closed")
        view = view[count:]
    return data


def _wait_until(deadline: float, connection: socket.socket) -> None:
    """Let the next use of a connection wait until a deadline; raises `TimeoutError` if it has passed."""
    if deadline == math.inf:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
