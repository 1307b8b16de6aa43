"""A look through the fields of a TIFF's first picture, before a decoder allocates what they claim."""

import struct
from collections.abc import Iterator

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.guard import damaged
from mnist_edge.preprocessing.metadata import too_many_parts

MAX_TAG_VALUES = 100_000
"""Most numbers in one field of a TIFF, which become Python objects; also most strips or tiles."""

MAX_BYTES_BESIDE = 85 << 20
"""Most bytes beside the picture: a strip or tile as a whole, fields in two copies, and a copy that is turned."""

MAX_FIELDS = 1 << 12
"""Most fields; TIFF 6.0 and its extensions define a few hundred."""

MAX_JPEG_SCANS = 30
"""Most passes over the pixels of a JPEG; progressive ones have about ten."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 277, 278, 279
_ORIENTATION = 274
_TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES = 322, 323, 325
_FURTHER_FIELDS = {34665, 34853, 40965}
"""Where EXIF, GPS and interoperability data have fields of their own, which Pillow reads too."""

_YCBCR = 6
_JPEG_COMPRESSIONS = {6, 7}
_JPEG_BYTES_PER_SAMPLE = 3
"""For JPEG in a TIFF: a sample, and its coefficient of two bytes if it is progressive, which the fields don't say."""

_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}
"""Types of whole numbers, as `struct` names them (TIFF 6.0, section 2; BigTIFF)."""

_BYTE_TYPES = {1, 2, 6, 7}
"""Bytes and text, which Pillow keeps as they are."""

_OWN_FIELDS = {273, _STRIP_BYTES, 324, _TILE_BYTES}
"""Offsets and lengths of strips and tiles, of which there are as many as the picture needs."""

Fields = dict[int, list[int]]
"""Values by tag; where a tag comes several times, those of each, since decoders differ in which one they take."""


def check_tiff(data: bytes) -> None:
    """Refuse a TIFF whose first picture has absurdly long fields, or strips or tiles that take much memory or time.

    Raises:
        PictureError: it has them, or can't be understood.
    """
    try:
        fields, kept = _fields(data)
    except struct.error as error:
        raise damaged("its fields are cut off") from error
    _check_blocks(fields, kept, data)


def _fields(data: bytes) -> tuple[Fields, int]:
    """Return the whole numbers of the fields, and how many bytes a decoder keeps that keeps all fields."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    offset, *_ = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    count_type, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    if offset > len(data):
        raise damaged("it has no fields")  # also beyond what `struct` takes for an offset
    total, *_ = struct.unpack_from(order + count_type, data, offset)
    start = offset + struct.calcsize(order + count_type)
    found: Fields = {}
    kept = 0
    for number, (tag, kind, count, inline) in enumerate(
        _entries(data, order + entry, start, min(total, MAX_FIELDS + 1))
    ):
        if number >= MAX_FIELDS or (kind not in _BYTE_TYPES and count > MAX_TAG_VALUES):
            raise too_many_parts()
        kept += min(count * 8, len(data)) if count > MAX_TAG_VALUES or tag not in _OWN_FIELDS else 0
        if tag in _FURTHER_FIELDS:
            kept += len(data)
        if kind in _NUMBERS and count <= MAX_TAG_VALUES:
            found.setdefault(tag, []).extend(_values(data, order, _NUMBERS[kind], count, inline, big))
    return found, kept


def _entries(data: bytes, entry: str, start: int, total: int) -> Iterator[tuple[int, int, int, bytes]]:
    size = struct.calcsize(entry)
    end = min(start + total * size, len(data) - len(data[start:]) % size)
    return struct.iter_unpack(entry, data[start:end])


def _values(data: bytes, order: str, kind: str, count: int, inline: bytes, big: bool) -> tuple[int, ...]:
    """Return the numbers of a field, which are in the field itself or where it points; none where that is nowhere."""
    length = struct.calcsize(order + kind) * count
    if length <= len(inline):
        return struct.unpack_from(f"{order}{count}{kind}", inline)
    (at,) = struct.unpack(order + ("Q" if big else "I"), inline)
    return struct.unpack_from(f"{order}{count}{kind}", data, at) if at + length <= len(data) else ()


def _check_blocks(fields: Fields, kept: int, data: bytes) -> None:
    """Check how much memory is needed beside the picture, and how often the decoder starts again."""

    def most(tag: int, default: int) -> int:
        return max(fields.get(tag) or [default])

    width, height, samples, bits = most(_WIDTH, 0), most(_HEIGHT, 0), most(_SAMPLES, 1), most(_BITS, 1)
    across, down = most(_TILE_WIDTH, width), most(_TILE_HEIGHT, min(most(_ROWS_PER_STRIP, height), height))
    least = (
        min(fields.get(_TILE_WIDTH) or [width]),
        min(fields.get(_TILE_HEIGHT) or fields.get(_ROWS_PER_STRIP) or [height]),
    )
    blocks = samples * _parts(width, least[0]) * _parts(height, least[1])
    pixel = samples * bits / 8
    if _JPEG_COMPRESSIONS.intersection(fields.get(_COMPRESSION, ())):
        pixel = max(samples, 3) * _JPEG_BYTES_PER_SAMPLE
        if data.count(b"\xff\xda") > blocks + MAX_JPEG_SCANS:
            raise PictureError(f"it has more than {MAX_JPEG_SCANS} scans")
    elif _YCBCR in fields.get(_PHOTOMETRIC, ()):
        pixel = max(pixel, 4)
    turned = width * height * (4 if samples > 1 else max(1, bits / 8)) if most(_ORIENTATION, 1) > 1 else 0
    if across * down * pixel + 2 * kept + turned > MAX_BYTES_BESIDE:
        raise PictureError(f"its strips, tiles or fields are too large: {across:,} × {down:,} pixels in one")
    if blocks > MAX_TAG_VALUES:
        raise too_many_parts()
    if max(sum(fields.get(_STRIP_BYTES, ())), sum(fields.get(_TILE_BYTES, ()))) > 2 * len(data):
        raise PictureError("its strips or tiles claim more than the whole file")  # they share bytes, decoded each time


def _parts(length: int, part: int) -> int:
    return -(-length // max(1, min(part, length)))
