"""The protobuf wire format, as far as a device without the `onnx` package needs it to look into a model.

Field numbers are those of onnx.proto (ONNX 1.23); the encoding is https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

from mnist_edge.errors import ArtifactError

Value = int | memoryview
"""A number (wire type 0), or bytes (1, 2 and 5)."""

_FIXED = {1: 8, 5: 4}
"""Lengths of the wire types of a fixed length."""


MAX_FIELDS = 1 << 20
"""Most fields of a message: a million take a second."""


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of each field of a message.

    Raises:
        ArtifactError: it is damaged, or has more than `MAX_FIELDS`.
    """
    position, end, remaining = 0, len(data), MAX_FIELDS
    while position < end:
        remaining -= 1
        if remaining < 0:
            raise ArtifactError(f"a part of it has more than {MAX_FIELDS:,} fields")
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ArtifactError("it is not an ONNX file, or is damaged")
        if length > end - position:
            raise ArtifactError("it is not an ONNX file, or is cut off")
        yield number, data[position : position + length]
        position += length


def varints(data: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed repeated field."""
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def signed(value: int) -> int:
    """Return a varint as the signed 64-bit number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, position
        shift += 7
    raise ArtifactError("it is not an ONNX file, or is cut off")
