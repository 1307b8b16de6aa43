"""Bytes that somebody sent → a decoded picture, within a budget of memory and time.

A file is judged by its content, never by its name, and only the formats of `FORMATS` are decoded, each by Pillow's
class for it, imported when the first such file comes. Sizes that a header claims are checked before anything is
allocated for them, so that a few bytes can't ask for gigabytes. Of a file with several pictures, the first is read.
"""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module

from PIL import Image, ImageFile

from mnist_edge.preprocessing.mnist_v2.pipeline import PictureError
from mnist_edge.preprocessing.bounded_read import check_length, read_file

MAX_DECODED = 85 << 20
"""Most bytes that Pillow may need for the decoded picture: 89 million grey pixels, or 22 million of colour.

That is also just below where Pillow itself begins to warn of decompression bombs.
"""

MAX_JPEG_PIXELS = 250_000_000
"""Most pixels of a JPEG, which can be decoded at a fraction of its size; phones take up to 200 million."""

JPEG_PIXELS = 9_000_000
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where it then still has as many pixels."""

MAX_SCANS = 30
"""Most passes over the pixels of a JPEG; progressive ones have about ten."""

MAX_WEBP_PIXELS = 12 << 20
"""Most pixels of a WebP picture, whose decoder takes 16 bytes for each."""

MAX_READS = 150_000
"""Most pieces in which a file is read. Pillow's parsers are loops in Python over chunks, which may be tiny."""

MAX_SLOW_SAMPLES = 1 << 20
"""Most samples of the formats that Pillow decodes in Python: text PPM and run-length BMP."""

MAX_TAG_VALUES = 100_000
"""Most numbers in one field of a TIFF, which become Python objects."""

_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes a pixel in Pillow's memory; 4 in every other mode."""

_DAMAGE = (  # what Pillow's parsers raise over damaged files
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_EXIF = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Where a picture's `info` has EXIF data, or may have the orientation that belongs there."""

_LOUD = nullcontext()

_quiet_lock = threading.Lock()


def load(path: str | os.PathLike[str]) -> Image.Image:
    """Read and decode a picture file.

    Raises:
        PictureError: the file is missing or no regular file, is no picture, is damaged, or is too large.
    """
    return decode(read_file(path))


def decode(data: bytes) -> Image.Image:
    """Return the first picture in a file's bytes, decoded.

    A JPEG of more than four times `JPEG_PIXELS` comes at a fraction of its size, by the coarse part of its transform.

    Raises:
        PictureError: it is no picture in a format of `FORMATS`, is damaged, or needs too much memory or time.
    """
    check_length(len(data))
    name = _format_of(data)
    precheck, loader = FORMATS[name]
    try:
        if precheck:
            precheck(data)
        animated = b"acTL" in data  # by which a PNG says so
        with _quiet() if animated or name in {"JPEG", "TIFF"} else _LOUD:  # the others never warn
            picture = loader()(_Pieces(data))
            _check_picture(picture, data)
        with _hushed() if name == "TIFF" else _quiet() if animated else _LOUD:
            picture.load()
    except PictureError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureError("it needs too much memory") from error
    except _DAMAGE as error:
        raise PictureError(f"the picture is damaged ({_reason(error)})") from error
    if name == "TIFF" or not _EXIF.isdisjoint(picture.info):
        _keep_exif(picture)
    return picture


def _keep_exif(picture: ImageFile.ImageFile) -> None:
    """Let the picture read its EXIF data and keep it, so that whoever asks for its orientation gets no warnings."""
    with _quiet(), suppress(*_DAMAGE):  # what is damaged only there is a picture all the same
        picture.getexif()


def _reason(error: BaseException) -> str:
    """Return the first line of an error's message, in which file names and bytes of the file are escaped."""
    lines = str(error).splitlines()
    return lines[0].encode("ascii", "backslashreplace").decode() if lines else type(error).__name__


class _Pieces(io.BytesIO):
    """A file in memory that refuses to be read in a great many pieces."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `BytesIO` does."""
        self.reads += 1
        if self.reads > MAX_READS:
            raise PictureError("it has too many parts")
        return super().read(size)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings from the user. The filters belong to the process: one thread at a time changes them."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep from the user what libtiff writes of damage, on the process's stderr, and Pillow's warnings."""
    with _quiet():
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)


def _check_picture(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse what would take too much memory or time to decode; make large JPEGs smaller."""
    if picture.format == "JPEG":
        _check_jpeg(picture, data)
    width, height = picture.size
    if width * height * _STORED.get(picture.mode, 4) > MAX_DECODED:
        raise _too_many_pixels(width, height)
    slow = any(tile[0] in Image.DECODERS for tile in picture.tile)  # Pillow's registry of decoders written in Python
    if slow and max(width * height * len(picture.getbands()), len(data) >> 2) > MAX_SLOW_SAMPLES:
        raise _too_many_pixels(width, height)


def _check_jpeg(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Check what libjpeg keeps of a picture in several scans, two bytes a coefficient, and ask for a smaller one."""
    width, height = picture.size
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise PictureError(f"it has {scans} scans, at most {MAX_SCANS} are read")
    layers = [(across, down) for _, across, down, _ in picture.layer]  # type: ignore[attr-defined]
    most = max(a for a, _ in layers) * max(d for _, d in layers)
    coefficients = width * height * sum(a * d for a, d in layers) / most
    if width * height > MAX_JPEG_PIXELS or (_in_scans(picture, scans) and 2 * coefficients > MAX_DECODED):
        raise _too_many_pixels(width, height)
    fraction = next((part for part in (8, 4, 2) if width * height >= part**2 * JPEG_PIXELS), 1)
    if fraction > 1:
        picture.draft(None, (width // fraction, height // fraction))


def _in_scans(picture: ImageFile.ImageFile, scans: int) -> bool:
    return "progressive" in picture.info or scans > 1


def _too_many_pixels(width: int, height: int) -> PictureError:
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
        raise _too_many_pixels(width, height)


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


Check = Callable[[bytes], None]
Loader = Callable[[], Callable[[io.BytesIO], ImageFile.ImageFile]]


def _pillow(plugin: str, name: str) -> Loader:
    """Return a function that imports one of Pillow's classes."""
    return lambda: getattr(import_module(f"PIL.{plugin}"), name)


FORMATS: dict[str, tuple[Check | None, Loader]] = {
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


def _format_of(data: bytes) -> str:
    """Return the key in `FORMATS` of a file's bytes."""
    if not data:
        raise PictureError("the file is empty")
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    raise PictureError(f"not a picture in a format that is read ({', '.join(FORMATS)})")
