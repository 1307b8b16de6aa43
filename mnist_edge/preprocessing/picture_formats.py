"""The formats of pictures that are decoded: how their files begin, what is checked before, and Pillow's class."""

import io
import struct
from collections.abc import Callable
from importlib import import_module

from PIL import ImageFile

from mnist_edge.errors import PictureError

MAX_WEBP_PIXELS = 12 << 20
"""Most pixels of a WebP picture, whose decoder takes 16 bytes for each."""

MAX_TAG_VALUES = 100_000
"""Most numbers in one field of a TIFF, which become Python objects."""


def too_many_pixels(width: int, height: int) -> PictureError:
    """Return the error for a picture of this size."""
    return PictureError(f"it is too large to decode: {width:,} × {height:,} pixels")


def _check_webp(data: bytes) -> None:
    """Read the size from a WebP's header (RFC 9649), since its decoder takes memory as it is made."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[start : start + 3], "little") for start in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(data[start : start + 2], "little") & 0x3FFF for start in (26, 28))
    if width * height > MAX_WEBP_PIXELS:
        raise too_many_pixels(width, height)


def _check_tiff(data: bytes) -> None:
    """Look through the fields of a TIFF's first picture (TIFF 6.0, section 2; BigTIFF) for absurdly long ones."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    offset, *_ = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    number, entry = ("Q", "HHQQ") if big else ("H", "HHII")
    fields, *_ = struct.unpack_from(order + number, data, offset)
    start, size = offset + struct.calcsize(order + number), struct.calcsize(order + entry)
    end = min(start + fields * size, len(data) - len(data[start:]) % size)
    for _, kind, count, _ in struct.iter_unpack(order + entry, data[start:end]):
        if kind not in {1, 2, 6, 7} and count > MAX_TAG_VALUES:  # other than bytes and text
            raise PictureError("it has too many parts")


Precheck = Callable[[bytes], None]
"""Raises `PictureError` where a file's bytes ask for too much."""

Loader = Callable[[], Callable[[io.BytesIO], ImageFile.ImageFile]]
"""Imports one of Pillow's classes."""


def _pillow(plugin: str, name: str) -> Loader:
    """Return a function that imports one of Pillow's classes."""
    return lambda: getattr(import_module(f"PIL.{plugin}"), name)


PICTURE_FORMATS: dict[str, tuple[Precheck | None, Loader]] = {
    "PNG": (None, _pillow("PngImagePlugin", "PngImageFile")),
    "JPEG": (None, _pillow("JpegImagePlugin", "JpegImageFile")),
    "GIF": (None, _pillow("GifImagePlugin", "GifImageFile")),
    "BMP": (None, _pillow("BmpImagePlugin", "BmpImageFile")),
    "TIFF": (_check_tiff, _pillow("TiffImagePlugin", "TiffImageFile")),
    "WebP": (_check_webp, _pillow("WebPImagePlugin", "WebPImageFile")),
    "PPM": (None, _pillow("PpmImagePlugin", "PpmImageFile")),
}
"""What is decoded: a check before the decoder is made, where it needs one, and Pillow's class."""

SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .gif .bmp .tif .tiff .webp .ppm .pgm .pbm .pnm".split()  # noqa: SIM905
)
"""How the names of such files end."""

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    **{b"P%d%c" % (kind, space): "PPM" for kind in range(1, 7) for space in b" \t\n\r"},
}
"""How such files begin; WebP is found by two words of its header."""


def format_of(data: bytes) -> str:
    """Return the key in `PICTURE_FORMATS` of a file's bytes.

    Raises:
        PictureError: the file is empty or in another format.
    """
    if not data:
        raise PictureError("the file is empty")
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    raise PictureError(f"not a picture in a format that is read ({', '.join(PICTURE_FORMATS)})")
