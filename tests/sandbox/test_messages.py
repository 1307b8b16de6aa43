import json
import math
import socket
import struct
from typing import Any

import numpy as np
import pytest

from mnist_edge.sandbox import messages
from mnist_edge.sandbox.messages import MessageError, receive, send

BODY = bytes(8)


def received(header: object) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    """Return what is read of a header and a body of eight bytes."""
    data = json.dumps(header).encode()
    ours, other = socket.socketpair()
    with ours, other:
        ours.sendall(struct.pack("<QQ", len(data), len(BODY)) + data + BODY)
        return receive(other)


def test_what_is_sent_is_received() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        send(ours, {"key": 1}, {"numbers": np.arange(3, dtype=np.float32)}, [b"", b"blob"])
        values, arrays, blobs = receive(other)
    assert values == {"key": 1}
    assert arrays["numbers"].tolist() == [0, 1, 2]
    assert blobs == [b"", b"blob"]


@pytest.mark.parametrize("blobs", [[8, -8, 8], [-8, 16], [8, -0.0], [7, True], [8, False], [8, None], ["8"], [9], [7]])
def test_lengths_that_are_not_those_of_the_body_are_damage(blobs: list[Any]) -> None:
    with pytest.raises(MessageError, match="the message is damaged"):
        received({"values": {}, "arrays": [], "blobs": blobs})


@pytest.mark.parametrize("sides", [[-1, -2], [2, True], [-1], [2.0], [True, 2], [-1, 0, 2], [1] * 40 + [2], "2", [3]])
def test_sides_that_are_not_those_of_an_array_are_damage(sides: object) -> None:
    with pytest.raises(MessageError, match="the message is damaged"):
        received({"values": {}, "arrays": [["x", "<f4", sides]], "blobs": []})


def test_too_many_sides_are_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product of millions of them would take minutes."""
    monkeypatch.setattr(math, "prod", lambda _: pytest.fail("they were multiplied"))
    with pytest.raises(MessageError, match="the message is damaged"):
        received({"values": {}, "arrays": [["x", "<f4", [9] * 1_000]], "blobs": []})


def test_a_body_for_which_there_is_no_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(length: int) -> bytearray:
        if length == len(BODY):
            raise MemoryError
        return bytearray(length)

    monkeypatch.setattr(messages, "bytearray", full, raising=False)
    with pytest.raises(MessageError, match="there is no memory for the message"):
        received({"values": {}, "arrays": [], "blobs": [8]})
