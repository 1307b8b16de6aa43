"""Files of every format that ask for far more memory or time than their size lets expect, made when they are asked for.

Each goes for another place where a decoder makes room, or works, for what a header claims.
"""

import lzma
import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from tests.preprocessing.hostile_pictures import chunk, png, saved, seven, squeezed

Field = tuple[int, int, int, int]

GOOD_ROWS = zlib.compress(b"".join(b"\0" + bytes(row) for row in np.asarray(seven())))

TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""EXIF data that say: turned by 90 degrees."""

PNG_SIZES: dict[str, tuple[int, int, int, int]] = {
    "one wide": (1, 89_000_000, 8, 0),
    "one wide, one bit": (1, 89_000_000, 1, 0),
    "one high": (89_000_000, 1, 8, 0),
    "one high, 16 bits": (44_000_000, 1, 16, 0),
    "one wide, 16 bits": (1, 44_000_000, 16, 0),
    "one wide, colors": (1, 22_000_000, 8, 6),
    "one high, colors of 16 bits": (22_000_000, 1, 16, 6),
    "ten wide": (10, 8_900_000, 8, 3),
    "seven million rows": (1, 7_400_000, 8, 0),
    "seven million columns": (7_400_000, 1, 8, 0),
    "large": (9_400, 9_400, 8, 0),
    "large, 16 bits": (6_600, 6_600, 16, 0),
    "large, colors of 16 bits": (4_700, 4_700, 16, 6),
    "large, one bit": (9_400, 9_400, 1, 0),
}
"""Width, height, bits and kind of color."""


def png_of(size: tuple[int, int, int, int], interlaced: bool = False) -> bytes:
    width, height, bits, color = size
    palette = [chunk(b"PLTE", bytes(768))] if color == 3 else []
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[color]
    rows = squeezed(min((width * bits * channels // 8 + 2) * height * (2 if interlaced else 1), 200_000_000))
    data = png(width, height, rows, *palette, bits=bits, color=color)
    if not interlaced:
        return data
    header = data[12:28] + b"\1"
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def exif(fields: int, length: int, order: str = "<") -> bytes:
    """Return EXIF data of `length` bytes with `fields` overlapping fields, each of which claims nearly all of them."""
    entries = b"".join(struct.pack(order + "HHII", 1000 + n, 7, length - 8, 8) for n in range(fields))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, fields)
    return (head + entries + bytes(4)).ljust(length, b"\0")


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    data = saved(seven(), "JPEG")
    more = b"".join(struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content for kind, content in segments)
    return data[:2] + more + data[2:]


def jpeg_of(size: tuple[int, int], mode: str = "L", **options: object) -> bytes:
    return saved(Image.new(mode, size, 200 if mode == "L" else "red"), "JPEG", **options)


def scans_of(size: tuple[int, int], scans: int, padding: int = 0) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    data = jpeg_of(size, "RGB", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    more = (scans - data.count(b"\xff\xda")) * last
    return data[:-2] + more + data[-2:] + bytes(padding)


def tiff(fields: list[Field], data: bytes = b"", order: str = "<") -> bytes:
    """Return a TIFF whose first directory has these fields (tag, type, count, value), then `data`."""
    fields = sorted(fields)
    entries = b"".join(
        struct.pack(order + "HHI", *field[:3])
        + (
            struct.pack(order + "HH", field[3], 0)
            if field[1] == 3 and field[2] == 1
            else struct.pack(order + "I", field[3])
        )
        for field in fields
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    return head + entries + bytes(4) + data


def tiff_of(
    width: int,
    height: int,
    *more: Field,
    compression: int = 8,
    rows: int = 0,
    color: int = 1,
    content: bytes | None = None,
) -> bytes:
    """Return a TIFF of one strip of zeros, unless other fields say something else."""
    base: dict[int, Field] = {
        256: (256, 4, 1, width),
        257: (257, 4, 1, height),
        258: (258, 3, 1, 8),
        259: (259, 3, 1, compression),
        262: (262, 3, 1, color),
        273: (273, 4, 1, 400),
        277: (277, 3, 1, 1),
        278: (278, 4, 1, rows or height),
    }
    base |= {field[0]: field for field in more}
    content = squeezed(min(width * height, 100_000_000)) if content is None else content
    base.setdefault(279, (279, 4, 1, len(content)))
    if 322 in base:
        for tag in (273, 278, 279):
            del base[tag]
    return tiff(list(base.values())).ljust(400, b"\0") + content


def tiled(width: int, height: int, side: tuple[int, int], *more: Field, compression: int = 8) -> bytes:
    content = squeezed(50_000_000)
    fields: list[Field] = [
        *((322, 4, 1, side[0]), (323, 4, 1, side[1]), (324, 4, 1, 400), (325, 4, 1, len(content))),
        *more,
    ]
    return tiff_of(width, height, *fields, compression=compression, content=content)


def shared_strips(count: int, compression: int, content: bytes, width: int = 4000) -> bytes:
    """Return a TIFF of `count` strips of one row that all are the same bytes."""
    offsets, lengths = 400 + len(content), 400 + len(content) + 4 * count
    tail = struct.pack("<I", 400) * count + struct.pack("<I", len(content)) * count
    more: list[Field] = [(273, 4, count, offsets), (279, 4, count, lengths), (278, 4, 1, 1)]
    return tiff_of(width, count, *more, compression=compression, content=content + tail)


def repeated_strips(count: int) -> bytes:
    """Return an uncompressed TIFF of two strips that are listed again and again."""
    content = bytes(4_000_000)
    offsets = 400 + len(content)
    tail = struct.pack("<II", 400, 401) * (count // 2)
    more: list[Field] = [(273, 4, count, offsets)]
    return tiff_of(4000, 2000, *more, compression=1, rows=1000, content=content + tail)


def overlapping_fields(fields: int, length: int) -> bytes:
    more: list[Field] = [(1000 + n, 7, length, 8) for n in range(fields)]
    good = saved(seven(), "TIFF")
    base: list[Field] = [(256, 3, 1, 60), (257, 3, 1, 60), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    base += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 60), (279, 4, 1, 3600)]
    return tiff(base + more, good.ljust(length, b"\0"))


def saved_strip(compression: str) -> bytes:
    """Return a TIFF of one strip, of as many pixels as the compression allows."""
    color = compression == "jpeg"
    picture = Image.new("RGB" if color else "L", (4_700, 4_700) if color else (9_400, 9_400), "white")
    return saved(picture, "TIFF", compression=compression, tiffinfo={278: picture.height})


def lzma_of(window: int) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": window, "preset": 0}]
    return lzma.compress(bytes(3600), filters=filters)


def gif_of(screen: tuple[int, int], frame: tuple[int, int], dispose: int = 0, comments: int = 0) -> bytes:
    control = b"!\xf9\x04" + bytes([dispose << 2 | 1]) + b"\0\0\0\0" if dispose else b""
    notes = (b"!\xfe" + (b"\xff" + b"n" * 255) * comments + b"\0") if comments else b""
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + bytes([0, 0, 0, 255, 255, 255])
    return head + notes + control + b"," + bytes(4) + struct.pack("<HH", *frame) + b"\0\x02\x02\x4c\x01\0;"


def bmp_of(width: int, height: int, bits: int, compression: int = 0, content: bytes = b"") -> bytes:
    start = 54 + (4 << bits if bits <= 8 else 0)
    header = struct.pack("<IIIIiiHHIIiiII", 0, 0, start, 40, width, height, 1, bits, compression, *[0] * 5)
    return b"BM" + header.ljust(start - 2, b"\1") + content


def webp_of(size: tuple[int, int], padding: int = 0, frames: int = 0, mode: str = "RGB") -> bytes:
    picture = Image.new(mode, size, "white")
    options = {"lossless": True, "method": 0}
    if frames:
        others = [Image.new(mode, size, (n * 9 % 256, 0, 0)) for n in range(frames)]
        data = saved(picture, "WEBP", save_all=True, append_images=others, **options)
    else:
        data = saved(picture, "WEBP", exif=b"Exif\0\0" + bytes(padding) if padding else b"", **options)
    return data


def ppm(head: bytes, content: bytes = b"") -> bytes:
    return head + content


def bombs() -> dict[str, Callable[[], bytes]]:
    """Return functions that make the files, by name."""
    texts = [chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress("😀".encode() + bytes(1_000_000)))] * 60
    long_text = chunk(b"iTXt", b"a\0\0\0\0\0" + "😀".encode() + b"a" * 30_000_000)
    return {
        **{f"PNG, {name}": partial(png_of, size) for name, size in PNG_SIZES.items()},
        **{f"PNG, interlaced, {name}": partial(png_of, size, True) for name, size in PNG_SIZES.items()},
        "PNG, long text": lambda: png(60, 60, GOOD_ROWS, long_text),
        "PNG, many texts": lambda: png(60, 60, GOOD_ROWS, *texts),
        "PNG, EXIF": lambda: png(60, 60, GOOD_ROWS, chunk(b"eXIf", exif(2_000, 1_000_000))),
        "PNG, long EXIF": lambda: png(60, 60, GOOD_ROWS, chunk(b"eXIf", exif(60_000, 20_000_000))),
        "PNG, raw profile": lambda: png(
            60, 60, GOOD_ROWS, chunk(b"zTXt", b"Raw profile type exif\0\0" + squeezed(1 << 20))
        ),
        "PNG, palette": lambda: png(60, 60, GOOD_ROWS, chunk(b"PLTE", bytes(30_000_000)), color=3),
        "PNG, transparency": lambda: png(60, 60, GOOD_ROWS, chunk(b"tRNS", bytes(30_000_000)), color=0),
        "PNG, private": lambda: png(60, 60, GOOD_ROWS, *[chunk(b"prVt", bytes(1_000_000))] * 30),
        "PNG, critical": lambda: png(60, 60, GOOD_ROWS, *[chunk(b"PRVT", bytes(1_000_000))] * 30),
        "PNG, pieces": lambda: png(60, 60, b"", *[chunk(b"IDAT", b"")] * 140_000),
        "PNG, behind the end": lambda: png(60, 60, GOOD_ROWS) + bytes(30_000_000),
        "JPEG, EXIF": lambda: jpeg_with((0xE1, b"Exif\0\0" + exif(5_000, 65_000))),
        "JPEG, EXIF in segments": lambda: jpeg_with(*[(0xE1, b"Exif\0\0" + exif(5_000, 65_000))] * 480),
        "JPEG, profile": lambda: jpeg_with(*[(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000))] * 480),
        "JPEG, comments": lambda: jpeg_with(*[(0xFE, bytes(65_000))] * 480),
        "JPEG, photoshop": lambda: jpeg_with(*[(0xED, b"Photoshop 3.0\0" + (b"8BIM\4\4\0\0\0\0\0\0") * 5_400)] * 480),
        "JPEG, junk": lambda: b"\xff\xd8\xff" + bytes(30_000_000) + saved(seven(), "JPEG")[2:],
        "JPEG, fill": lambda: b"\xff\xd8" + b"\xff" * 30_000_000 + saved(seven(), "JPEG")[2:],
        "JPEG, 248 million": lambda: jpeg_of((15_740, 15_740)),
        "JPEG, 248 million of color": lambda: jpeg_of((15_740, 15_740), "RGB"),
        "JPEG, thin": lambda: jpeg_of((1, 65_500)),
        "JPEG, not reduced": lambda: jpeg_of((5_990, 3_700), "RGB", subsampling=0),
        "JPEG, CMYK": lambda: jpeg_of((4_700, 4_700), "CMYK"),
        "JPEG, scans": lambda: scans_of((4_600, 4_600), 30),
        "JPEG, scans and padding": lambda: scans_of((4_600, 4_600), 30, 25_000_000),
        "GIF, large": lambda: gif_of((9_400, 9_400), (9_400, 9_400)),
        "GIF, large, background": lambda: gif_of((9_400, 9_400), (9_400, 9_400), 2),
        "GIF, large, previous": lambda: gif_of((9_400, 9_400), (9_400, 9_400), 3),
        "GIF, frame beyond the screen": lambda: gif_of((10, 10), (13_300, 13_300), 2),
        "GIF, thin": lambda: gif_of((1, 65_535), (1, 65_535)),
        "GIF, comments": lambda: gif_of((60, 60), (60, 60), 0, 120_000),
        "BMP, one wide": lambda: bmp_of(1, 89_000_000, 8),
        "BMP, one high": lambda: bmp_of(22_000_000, 1, 24),
        "BMP, upside down": lambda: bmp_of(1, -89_000_000, 8),
        "BMP, large": lambda: bmp_of(9_400, 9_400, 8),
        "BMP, run-length": lambda: bmp_of(1_000, 1_000, 8, 1, b"\0\2\1\0" * 2_000_000),
        "BMP, four bits run-length": lambda: bmp_of(1_000, 1_000, 4, 2, b"\1\0" * 2_000_000),
        "TIFF, tile": lambda: tiled(60, 60, (60_000, 60_000)),
        "TIFF, tile of colors": lambda: tiled(4_000, 4_000, (16_000, 16_000), (277, 3, 1, 3), (258, 3, 1, 8)),
        "TIFF, tile as large as allowed": lambda: tiled(9_400, 9_400, (9_424, 9_424)),
        "TIFF, tiny tiles": lambda: tiled(9_000, 9_000, (1, 1)),
        "TIFF, one strip": lambda: tiff_of(9_400, 9_400),
        "TIFF, one strip, LZW": lambda: tiff_of(9_400, 9_400, compression=5),
        "TIFF, one strip, colors": lambda: tiff_of(4_700, 4_700, (277, 3, 1, 3), color=2),
        "TIFF, one wide": lambda: tiff_of(1, 7_000_000),
        "TIFF, one wide, a row a strip": lambda: tiff_of(1, 7_000_000, rows=1),
        "TIFF, one high": lambda: tiff_of(89_000_000, 1),
        "TIFF, turned": lambda: tiff_of(9_400, 9_400, (274, 3, 1, 6)),
        "TIFF, samples": lambda: tiff_of(9_000, 9_000, (277, 3, 1, 60_000)),
        **{
            f"TIFF, one strip, {name}": partial(saved_strip, name)
            for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "lzma", "zstd", "packbits")
        },
        "TIFF, LZMA of a large window": lambda: tiff_of(60, 60, compression=34_925, content=lzma_of(1 << 30)),
        "TIFF, fields": lambda: overlapping_fields(400, 30_000_000),
        "TIFF, many fields": lambda: overlapping_fields(4_000, 3_000_000),
        "TIFF, shared strips": lambda: shared_strips(90_000, 8, squeezed(4_000_000)),
        "TIFF, shared empty blocks": lambda: shared_strips(20_000, 8, b"\x78\x01" + b"\0\0\0\xff\xff" * 5_000_000),
        "TIFF, repeated strips": lambda: repeated_strips(90_000),
        "WebP, large": lambda: webp_of((4_000, 3_000)),
        "WebP, large with EXIF": lambda: webp_of((4_000, 3_000), 30_000_000),
        "WebP, small with EXIF": lambda: webp_of((60, 60), 30_000_000),
        "WebP, turned": lambda: saved(Image.new("RGB", (3_400, 3_000)), "WEBP", lossless=True, method=0, exif=TURNED),
        "JPEG, turned": lambda: jpeg_of((5_990, 3_700), "RGB", exif=TURNED),
        "PNG, turned": lambda: saved(Image.new("L", (9_400, 9_300)), "PNG", exif=TURNED),
        "TIFF, turned in strips": lambda: saved(Image.new("L", (9_300, 9_400)), "TIFF", tiffinfo={274: 6}),
        "GIF, large with comments": lambda: gif_of((9_400, 9_400), (9_400, 9_400), 2, 100_000),
        "WebP, frames": lambda: webp_of((3_900, 3_200), frames=5),
        "WebP, transparent": lambda: webp_of((4_000, 3_000), mode="RGBA"),
        "PPM, one wide": lambda: ppm(b"P5 1 89000000 255\n"),
        "PPM, one high": lambda: ppm(b"P5 89000000 1 255\n"),
        "PPM, large": lambda: ppm(b"P6 4700 4700 255\n"),
        "PPM, bits": lambda: ppm(b"P4 9400 9400\n", bytes(1175 * 9400)),
        "PPM, 16 bits": lambda: ppm(b"P5 1000 1000 65535\n", bytes(2_000_000)),
        "PPM, text": lambda: ppm(b"P2 1000 1000 255\n", b"7 " * 1_000_000),
        "PPM, text of spaces": lambda: ppm(b"P2 10 10 255\n", b" " * 30_000_000),
        "PPM, head of comments": lambda: ppm(b"P5 " + b"#\n" * 14_000_000 + b"10 10 255\n" + bytes(100)),
        "PPM, long comment": lambda: ppm(b"P5 #" + b"a" * 30_000_000 + b"\n10 10 255\n" + bytes(100)),
    }
