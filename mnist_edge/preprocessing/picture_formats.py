"""The formats of pictures that are decoded: how their files begin, what is checked before, and Pillow's class."""

import io
from collections.abc import Callable
from importlib import import_module

from PIL import ImageFile

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.tiff_header import check_tiff

MAX_WEBP_PIXELS = 12 << 20
"""Most pixels of a WebP picture, whose decoder takes 16 bytes for each."""

MAX_WEBP_BYTES = 225_000_000
"""Most memory for them and three copies of the file, which Pillow makes of it and of the metadata in it."""


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
    if width * height > MAX_WEBP_PIXELS or 16 * width * height + 3 * len(data) > MAX_WEBP_BYTES:
        raise too_many_pixels(width, height)


Precheck = Callable[[bytes], None]
"""Raises `PictureError` where a file's bytes ask for too much."""

PillowClass = Callable[[io.BytesIO], ImageFile.ImageFile]
"""Opens a file in memory, without its pixels."""

Loader = Callable[[], PillowClass]
"""Imports one of Pillow's classes."""


def _pillow(plugin: str, name: str) -> Loader:
    """Return a function that imports one of Pillow's classes."""
    return lambda: getattr(import_module(f"PIL.{plugin}"), name)


PICTURE_FORMATS: dict[str, tuple[Precheck | None, Loader]] = {
    "PNG": (None, _pillow("PngImagePlugin", "PngImageFile")),
    "JPEG": (None, _pillow("JpegImagePlugin", "JpegImageFile")),
    "GIF": (None, _pillow("GifImagePlugin", "GifImageFile")),
    "BMP": (None, _pillow("BmpImagePlugin", "BmpImageFile")),
    "TIFF": (check_tiff, _pillow("TiffImagePlugin", "TiffImageFile")),
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
