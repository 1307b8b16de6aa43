"""PNG, JPEG and GIF without what is not needed for their pixels, since Pillow parses and keeps all of it.

Texts, profiles, previews and notes of editors make a picture neither better nor worse, but a few bytes of them can ask
for much memory, time and warnings. What says how the picture is turned is kept.
"""

import re
import struct

from mnist_edge.errors import PictureError

MAX_PARTS = 150_000
"""Most chunks, segments or blocks of a file. They are looked through in Python, and may be tiny."""

MAX_TEXT_BYTES = 1 << 20
"""A chunk of text with an orientation in it is at most this long; Pillow unpacks at most as much."""

_PNG_SIGNATURE_BYTES = 8

_TRANSPARENCY, _EXIF = b"tRNS", b"eXIf"

_ORIENTATION_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""How chunks of text begin that may say how the picture is turned."""

_GIF_HEADER_BYTES, _GIF_CONTROL, _GIF_DISPOSAL = 13, b"\xf9\x04", 0b11100
"""GIF89a, sections 17, 18 and 23."""

_JPEG_MARKER = re.compile(rb"[^\xff]*\xff+([^\xff])")
"""A marker, with junk before it, which decoders skip."""

_START_OF_SCAN, _COMMENT, _EXIF_SEGMENT = 0xDA, 0xFE, 0xE1
_APPLICATION_SEGMENTS = frozenset(range(0xE0, 0xF0))
_COLOR_SEGMENTS = frozenset({0xE0, 0xEE})
"""JFIF and Adobe, which say how colors are stored."""

_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
"""Markers that stand alone, and the zero that says that there is none."""


def too_many_parts() -> PictureError:
    """Return the error for a file in a great many pieces."""
    return PictureError("it has too many parts")


def bare_png(data: bytes) -> bytes:
    """Return a PNG without the chunks that do not change its first picture, such as texts, profiles and animation.

    Raises:
        PictureError: it has more than `MAX_PARTS` chunks.
    """
    kept: list[memoryview] = []
    view = memoryview(data)
    done = position = _PNG_SIGNATURE_BYTES
    parts, turned = 0, False
    while position + 8 <= len(data):
        parts += 1
        if parts > MAX_PARTS:
            raise too_many_parts()
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IEND" or not name.isalpha():  # here Pillow stops too
            break
        end = position + length + 12
        if name[0] & 32 and name != _TRANSPARENCY:  # a small letter: not needed for the pixels
            says_turned = not turned and _may_say_orientation(name, data[position + 8 : position + 32], length)
            turned = turned or says_turned
            if not says_turned:
                kept.append(view[done:position])
                done = end
        position = end
    return b"".join([view[:_PNG_SIGNATURE_BYTES], *kept, view[done:]]) if kept else data


def _may_say_orientation(name: bytes, start: bytes, length: int) -> bool:
    return length <= MAX_TEXT_BYTES and (name == _EXIF or start.startswith(_ORIENTATION_TEXTS))


def bare_gif(data: bytes) -> bytes:
    """Return a GIF without the comments and data of applications before its first picture, and what follows on that.

    Pillow prepares for the next picture as soon as it opens the file, with a second copy of the whole screen.

    Raises:
        PictureError: it has more than `MAX_PARTS` blocks.
    """
    position = _GIF_HEADER_BYTES + _color_bytes(data[10:11])
    head, control = data[:position], b""
    parts = 0
    while data[position : position + 1] == b"!":
        start = position
        position += 2
        while length := int.from_bytes(data[position : position + 1]):
            position += 1 + length
            parts += 1
            if parts > MAX_PARTS:
                raise too_many_parts()
        position += 1
        if data[start + 1 : start + 3] == _GIF_CONTROL and len(data) > start + 3:
            control = data[start : start + 3] + bytes([data[start + 3] & ~_GIF_DISPOSAL]) + data[start + 4 : position]
    return head + control + data[position:]


def _color_bytes(flags: bytes) -> int:
    """Return how long the table of colors is that a byte of flags announces (GIF89a, section 18)."""
    value = int.from_bytes(flags)
    return 3 << (value & 7) + 1 if value & 128 else 0


def bare_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG without comments and the segments of applications, and its EXIF data, empty where it has none.

    Raises:
        PictureError: it has more than `MAX_PARTS` segments.
    """
    kept: list[memoryview] = []
    view = memoryview(data)
    exif = b""
    done, position = 0, 2
    for _ in range(MAX_PARTS):
        marker = _JPEG_MARKER.match(data, position)
        if not marker or (code := marker[1][0]) == _START_OF_SCAN or len(data) < marker.end() + 2:
            return b"".join([*kept, view[done:]]) if kept else data, exif
        start = marker.end()
        position = start if code in _WITHOUT_LENGTH else start + int.from_bytes(data[start : start + 2], "big")
        if code == _COMMENT or code in _APPLICATION_SEGMENTS - _COLOR_SEGMENTS:
            if code == _EXIF_SEGMENT and not exif and data.startswith(b"Exif\0\0", start + 2):
                exif = data[start + 2 : position]
            kept.append(view[done : marker.start()])
            done = max(done, position)
    raise too_many_parts()
