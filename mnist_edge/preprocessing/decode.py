"""Bytes from an unknown source → a decoded picture, within a budget of memory and time.

A file is judged by its content, never by its name, and only the formats of `PICTURE_FORMATS` are decoded, each by
Pillow's class for it, imported when the first such file comes. Sizes that a header claims are checked before anything
is allocated for them, so that a few bytes can't ask for gigabytes. Of a file with several pictures, the first is read.
"""

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from PIL import Image, ImageFile

from mnist_edge.descriptors import QUIET_LOCK, silent_descriptors
from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.bounded_read import check_length, read_file
from mnist_edge.preprocessing.guard import PILLOW_GUARD, damaged
from mnist_edge.preprocessing.metadata import MAX_PARTS, bare_gif, bare_jpeg, bare_png, too_many_parts
from mnist_edge.preprocessing.picture_formats import PICTURE_FORMATS, PillowClass, format_of, too_many_pixels
from mnist_edge.preprocessing.tiff_header import MAX_JPEG_SCANS

MAX_DECODED_BYTES = 85 << 20
"""Most bytes that Pillow may need for the decoded picture: 89 million gray pixels, or 22 million of color.

That is also just below where Pillow itself begins to warn of decompression bombs.
"""

MAX_JPEG_PIXELS = 250_000_000
"""Most pixels of a JPEG, which can be decoded at a fraction of its size; phones take up to 200 million."""

MIN_JPEG_PIXELS = 9_000_000
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where it then still has this many pixels."""

MAX_READS = MAX_PARTS
"""Most pieces in which a file is read. Pillow's parsers are loops in Python over chunks, which may be tiny."""

MAX_TIMES_READ = 2
"""A file is read at most this many times as a whole: for its pixels, and twice for the fields that describe them.

Fields may overlap, and Pillow keeps a copy of each.
"""

MAX_AREAS = 4
"""The tiles of a picture cover at most this many times its area: once for each of its planes."""

ROW_BYTES = 8
"""What Pillow needs for a row besides its pixels, which take a multiple of 4 bytes."""

MAX_SLOW_SAMPLES = 1 << 20
"""Most samples of the formats that Pillow decodes in Python: text PPM and run-length BMP."""

_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes a pixel in Pillow's memory; 4 in every other mode."""

_NEVER_WARN = frozenset({"PNG", "BMP", "PPM", "WebP"})
"""Formats over which Pillow has nothing to say on stderr, once a PNG has lost its animation."""

# Pillow logs some damage as an error, which the interpreter prints where nobody set up a handler. This one prints
# nothing, and leaves those that somebody did set up as they are.
logging.getLogger("PIL").addHandler(logging.NullHandler())


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
    exif = b""
    if name == "PNG":
        data = bare_png(data)
    elif name == "JPEG":
        data, exif = bare_jpeg(data)
    elif name == "GIF":
        data = bare_gif(data)
    precheck, _ = PICTURE_FORMATS[name]
    if precheck:
        precheck(data)
    if name in _NEVER_WARN:
        with PILLOW_GUARD:
            picture = _pillow_class(name)(_CountedReads(data))
        _check_picture(picture, data)
        with PILLOW_GUARD:
            picture.load()
    else:
        picture = _decode_quietly(_pillow_class(name), data)
    if exif:
        picture.info["exif"] = exif
    return picture


@cache
def _pillow_class(name: str) -> PillowClass:
    """Import Pillow's class for a format, never while another thread forks: its child would find it half imported."""
    with QUIET_LOCK:
        _, loader = PICTURE_FORMATS[name]
        return loader()


def _decode_quietly(pillow_class: PillowClass, data: bytes) -> ImageFile.ImageFile:
    """Decode while nothing but the answer leaves the decoder: no warnings, and no lines of libtiff on stderr."""
    with PILLOW_GUARD, _quiet():
        picture = pillow_class(_CountedReads(data))
    _check_picture(picture, data)
    with PILLOW_GUARD, _quiet_libtiff() if picture.format == "TIFF" else _quiet():
        picture.load()
    return picture


class _CountedReads(io.BytesIO):
    """A file in memory that refuses to be read in a great many pieces, or over and over."""

    reads = 0

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.bytes_left = MAX_TIMES_READ * len(data) + (1 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `BytesIO` does."""
        self.reads += 1
        data = super().read(size)
        self.bytes_left -= len(data)
        if self.reads > MAX_READS or self.bytes_left < 0:
            raise too_many_parts()
        return data


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings from the user. The filters belong to the process: one thread at a time changes them."""
    with QUIET_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """Keep from the user what libtiff writes about damage to the process's stderr, and Pillow's warnings."""
    with _quiet(), silent_descriptors(2):
        yield


def _check_picture(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse what would take too much memory or time to decode; make large JPEGs smaller."""
    if picture.format == "JPEG":
        _check_jpeg(picture, data)
    if picture.mode == "P" and picture.palette is None:
        raise damaged("its palette is missing")
    width, height = picture.size
    if max(_memory(width, height, picture.mode), _memory(height, width, picture.mode)) > MAX_DECODED_BYTES:
        raise too_many_pixels(width, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for _, box, *_ in picture.tile if box)
    if areas > MAX_AREAS * width * height:
        raise too_many_parts()
    slow = any(codec in Image.DECODERS for codec, *_ in picture.tile)  # Pillow's registry of decoders written in Python
    if slow and max(width * height * len(picture.getbands()), len(data) >> 2) > MAX_SLOW_SAMPLES:
        raise too_many_pixels(width, height)


def _memory(width: int, height: int, mode: str) -> int:
    """Return how many bytes Pillow needs for a picture; of one that is turned on its side, that may be many more."""
    return height * (ROW_BYTES + -(-width * _BYTES_PER_PIXEL.get(mode, 4) // 4) * 4)


def _check_jpeg(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Check what libjpeg keeps of a picture in several scans, two bytes a coefficient, and ask for a smaller one."""
    width, height = picture.size
    scans = data.count(b"\xff\xda")
    if scans > MAX_JPEG_SCANS:
        raise PictureError(f"it has {scans} scans, at most {MAX_JPEG_SCANS} are read")
    layers = [(across, down) for _, across, down, _ in picture.layer]  # type: ignore[attr-defined]
    most = max((a for a, _ in layers), default=0) * max((d for _, d in layers), default=0)
    if not most:
        raise damaged("its components have no size")
    coefficients = width * height * sum(a * d for a, d in layers) / most
    if width * height > MAX_JPEG_PIXELS or (_is_progressive(picture, scans) and 2 * coefficients > MAX_DECODED_BYTES):
        raise too_many_pixels(width, height)
    fraction = next((part for part in (8, 4, 2) if width * height >= part**2 * MIN_JPEG_PIXELS), 1)
    if fraction > 1:
        picture.draft(None, (width // fraction, height // fraction))


def _is_progressive(picture: ImageFile.ImageFile, scans: int) -> bool:
    return "progressive" in picture.info or scans > 1
