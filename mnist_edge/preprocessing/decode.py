"""Bytes from an unknown source → a decoded picture, within a budget of memory and time.

A file is judged by its content, never by its name, and only the formats of `PICTURE_FORMATS` are decoded, each by
Pillow's class for it, imported when the first such file comes. Sizes that a header claims are checked before anything
is allocated for them, so that a few bytes can't ask for gigabytes. Of a file with several pictures, the first is read.
"""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from PIL import Image, ImageFile

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.bounded_read import check_length, read_file
from mnist_edge.preprocessing.orientation import may_have_exif
from mnist_edge.preprocessing.picture_formats import PICTURE_FORMATS, format_of, too_many_pixels

MAX_DECODED_BYTES = 85 << 20
"""Most bytes that Pillow may need for the decoded picture: 89 million gray pixels, or 22 million of color.

That is also just below where Pillow itself begins to warn of decompression bombs.
"""

MAX_JPEG_PIXELS = 250_000_000
"""Most pixels of a JPEG, which can be decoded at a fraction of its size; phones take up to 200 million."""

MIN_JPEG_PIXELS = 9_000_000
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where it then still has this many pixels."""

MAX_JPEG_SCANS = 30
"""Most passes over the pixels of a JPEG; progressive ones have about ten."""

MAX_READS = 150_000
"""Most pieces in which a file is read. Pillow's parsers are loops in Python over chunks, which may be tiny."""

MAX_SLOW_SAMPLES = 1 << 20
"""Most samples of the formats that Pillow decodes in Python: text PPM and run-length BMP."""

_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes a pixel in Pillow's memory; 4 in every other mode."""

_DAMAGE_ERRORS = (  # what Pillow's parsers raise over damaged files
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

_AS_IT_IS = nullcontext()

_quiet_lock = threading.Lock()


def load(path: str | os.PathLike[str]) -> Image.Image:
    """Read and decode a picture file.

    Raises:
        PictureError: the file is missing or not a regular file, is not a picture, is damaged, or is too large.
    """
    return decode(read_file(path))


def decode(data: bytes) -> Image.Image:
    """Return the first picture in a file's bytes, decoded.

    A JPEG of at least four times `MIN_JPEG_PIXELS` is decoded at a fraction of its size, from the coarse part of its
    transform.

    Raises:
        PictureError: it is not a picture in one of `PICTURE_FORMATS`, is damaged, or needs too much memory or time.
    """
    check_length(len(data))
    name = format_of(data)
    precheck, loader = PICTURE_FORMATS[name]
    try:
        if precheck:
            precheck(data)
        animated = b"acTL" in data  # by which a PNG says so
        with _quiet() if animated or name in {"JPEG", "TIFF"} else _AS_IT_IS:  # the others never warn
            picture = loader()(_CountedReads(data))
            _check_picture(picture, data)
        with _quiet_libtiff() if name == "TIFF" else _quiet() if animated else _AS_IT_IS:
            picture.load()
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureError("it needs too much memory") from error
    except _DAMAGE_ERRORS as error:
        raise PictureError(f"the picture is damaged ({_reason(error)})") from error
    if may_have_exif(picture):
        _keep_exif(picture)
    return picture


def _keep_exif(picture: ImageFile.ImageFile) -> None:
    """Let the picture read its EXIF data and keep it, so that whoever asks for its orientation gets no warnings."""
    with _quiet(), suppress(PictureError, *_DAMAGE_ERRORS):  # damage to it alone does not make the picture unreadable
        picture.getexif()


def _reason(error: BaseException) -> str:
    """Return the first line of an error's message, in which file names and bytes of the file are escaped."""
    lines = str(error).splitlines()
    return lines[0].encode("ascii", "backslashreplace").decode() if lines else type(error).__name__


class _CountedReads(io.BytesIO):
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
def _quiet_libtiff() -> Iterator[None]:
    """Keep from the user what libtiff writes about damage to the process's stderr, and Pillow's warnings."""
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
    if width * height * _BYTES_PER_PIXEL.get(picture.mode, 4) > MAX_DECODED_BYTES:
        raise too_many_pixels(width, height)
    slow = any(tile[0] in Image.DECODERS for tile in picture.tile)  # Pillow's registry of decoders written in Python
    if slow and max(width * height * len(picture.getbands()), len(data) >> 2) > MAX_SLOW_SAMPLES:
        raise too_many_pixels(width, height)


def _check_jpeg(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Check what libjpeg keeps of a picture in several scans, two bytes a coefficient, and ask for a smaller one."""
    width, height = picture.size
    scans = data.count(b"\xff\xda")
    if scans > MAX_JPEG_SCANS:
        raise PictureError(f"it has {scans} scans, at most {MAX_JPEG_SCANS} are read")
    layers = [(across, down) for _, across, down, _ in picture.layer]  # type: ignore[attr-defined]
    most = max(a for a, _ in layers) * max(d for _, d in layers)
    coefficients = width * height * sum(a * d for a, d in layers) / most
    if width * height > MAX_JPEG_PIXELS or (_is_progressive(picture, scans) and 2 * coefficients > MAX_DECODED_BYTES):
        raise too_many_pixels(width, height)
    fraction = next((part for part in (8, 4, 2) if width * height >= part**2 * MIN_JPEG_PIXELS), 1)
    if fraction > 1:
        picture.draft(None, (width // fraction, height // fraction))


def _is_progressive(picture: ImageFile.ImageFile, scans: int) -> bool:
    return "progressive" in picture.info or scans > 1
