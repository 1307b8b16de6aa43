"""Files that are meant to harm whoever decodes them, or that got broken on their way."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]
"""A seven as a line in the unit square."""


def seven(mode: str = "L", size: tuple[int, int] = (60, 60)) -> Image.Image:
    """Return a picture of a dark seven on light ground."""
    picture = Image.new("L", size, 255)
    points = [(x * size[0], y * size[1]) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, fill=0, width=max(1, size[0] // 10), joint="curve")
    return picture.convert(mode)


def saved(picture: Image.Image, format: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, rows: bytes, *chunks: bytes, bits: int = 8, color: int = 0) -> bytes:
    """Return a PNG with these bytes as its compressed rows, and more chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def squeezed(length: int) -> bytes:
    """Return `length` zeros as zlib packs them: a thousandth of it."""
    blocks, rest = divmod(length, 1 << 20)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # which may be repeated
    end = packer.compress(bytes(rest)) + packer.flush()
    adler32 = length % 65_521 << 16 | 1  # of zeros (RFC 1950, section 9)
    return b"\x78\xda" + blocks * block + end + struct.pack(">I", adler32)


def tiff(fields: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """Return a little-endian TIFF whose first directory has these fields (tag, type, count, value), then `data`."""
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + bytes(4) + data


def bombs() -> dict[str, Callable[[], bytes]]:
    """Return what makes files that ask for far more memory or time than their size lets expect."""
    gray = seven()
    good_rows = zlib.compress(b"".join(b"\0" + bytes(row) for row in np.asarray(gray)))
    scans = saved(gray, "JPEG", progressive=True)
    start = scans.rindex(b"\xff\xda")
    size = struct.pack("<HH", 60_000, 60_000)
    return {
        "60000.png": lambda: png(60_000, 60_000, squeezed(4_000_000), bits=1),
        "60000-rgb.png": lambda: png(60_000, 60_000, squeezed(4_000_000), color=2),
        "13300.png": lambda: png(13_300, 13_300, squeezed(13_300 * 13_301)),
        "13300-rgba.png": lambda: png(13_300, 13_300, squeezed(40_000_000), color=6),
        "13300-16.png": lambda: png(13_300, 13_300, squeezed(40_000_000), bits=16),
        "9400.png": lambda: png(9_400, 9_400, squeezed(9_400 * 9_401)),
        "9400.gif": lambda: saved(Image.new("L", (9_400, 9_400)), "GIF"),
        "13300.jpg": lambda: saved(Image.new("L", (13_300, 13_300), 200), "JPEG"),
        "4600-progressive.jpg": lambda: saved(Image.new("RGB", (4_600, 4_600), "red"), "JPEG", progressive=True),
        "6000-progressive.jpg": lambda: saved(
            Image.new("RGB", (6_000, 6_000)), "JPEG", progressive=True, subsampling=0
        ),
        "scans.jpg": lambda: scans[:start] + scans[start:-2] * 2000 + scans[-2:],
        "16383.webp": lambda: b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f\xfe\xff\xff\x0f" + bytes(12),
        "4000.webp": lambda: saved(Image.new("RGB", (4_000, 3_000), "white"), "WEBP", lossless=True, method=0),
        "60000.gif": lambda: (
            b"GIF89a" + size + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + size + b"\0\x02\x02\x4c\x01\0;"
        ),
        "60000.bmp": lambda: (
            b"BM" + struct.pack("<IIIIiiHHIIiiII", 70, 0, 54, 40, 60_000, 60_000, 1, 24, *[0] * 6) + bytes(16)
        ),
        "run-length.bmp": lambda: (
            b"BM"
            + struct.pack("<IIIIiiHHIIiiII", 70, 0, 1078, 40, 9_000, 9_000, 1, 8, 1, *[0] * 3, 256, 0)
            + bytes(1024)
            + b"\x01\x00" * 1_000_000
        ),
        "60000.pgm": lambda: b"P5 60000 60000 255\n" + bytes(1000),
        "plain.pgm": lambda: b"P2 3000 3000 255\n" + b"7 " * 9_000_000,
        "ztxt.png": lambda: png(60, 60, good_rows, chunk(b"zTXt", b"a\0\0" + squeezed(200_000_000))),
        "many-ztxt.png": lambda: png(60, 60, good_rows, *[chunk(b"zTXt", b"a\0\0" + squeezed(1_000_000))] * 100),
        "iccp.png": lambda: png(60, 60, good_rows, chunk(b"iCCP", b"a\0\0" + squeezed(200_000_000))),
        "itxt.png": lambda: png(60, 60, good_rows, chunk(b"iTXt", b"a\0\1\0\0\0" + squeezed(200_000_000))),
        "chunks.png": lambda: png(60, 60, good_rows, chunk(b"aaAa", b"") * 2_000_000),
        "comments.gif": lambda: saved(gray, "GIF")[:13] + b"!\xfe\x01a\0" * 2_000_000 + b";",
        "segments.jpg": lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 4_000_000 + saved(gray, "JPEG")[2:],
        "tile.tif": lambda: tiff(
            [
                *((256, 3, 1, 60), (257, 3, 1, 60), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)),
                *((322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 200), (325, 4, 1, 1000)),
            ],
            bytes(60) + squeezed(1_000_000),
        ),
        "strips.tif": lambda: tiff(
            [
                *((256, 3, 1, 60), (257, 3, 1, 60), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
                *((273, 4, 7_000_000, 200), (277, 3, 1, 1), (278, 3, 1, 60), (279, 4, 1, 3600)),
            ],
            bytes(28_000_100),
        ),
    }


def broken() -> dict[str, bytes]:
    """Return files that can't be read."""
    good = saved(seven(), "PNG")
    return {
        "empty.png": b"",
        "cut.png": good[: len(good) // 2],
        "checksum.png": good[:40] + bytes([good[40] ^ 1]) + good[41:],
        "header.png": good[:20],
        "cut.jpg": saved(seven(), "JPEG")[:400],
        "cut.gif": saved(seven(), "GIF")[:200],
        "cut.tif": saved(seven(), "TIFF", compression="tiff_lzw")[:100],
        "cut.webp": saved(seven(), "WEBP")[:60],
        "zeros.png": bytes(1000),
        "text.png": b"not a picture",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9"/></svg>',
        "program.png": b"\x7fELF" + bytes(100),
        "document.png": b"%PDF-1.7\n",
        "icon.ico": saved(seven(), "ICO"),
    }


def odd() -> dict[str, bytes]:
    """Return files that are unusual, and hold a seven all the same."""
    values = np.asarray(seven(), dtype=np.float32) / 255
    values[0, 0] = np.nan
    colors = [seven("RGB"), Image.new("RGB", (60, 60), "white")]
    png_bytes = saved(seven(), "PNG")
    return {
        "extension.jpg": png_bytes,
        "no extension": png_bytes,
        "space and 'quotes\".png": png_bytes,
        "new\nline.png": png_bytes,
        "-x.png": png_bytes,
        "ß数字.png": png_bytes,
        "16.png": saved(Image.fromarray(np.asarray(seven()).astype(np.uint16) * 257), "PNG"),
        "nan.tif": saved(Image.fromarray(values), "TIFF"),
        "animated.gif": saved(colors[0], "GIF", save_all=True, append_images=colors[1:], duration=50),
        "animated.png": saved(colors[0], "PNG", save_all=True, append_images=colors[1:]),
        "animated.webp": saved(colors[0], "WEBP", save_all=True, append_images=colors[1:], lossless=True),
        "pages.tif": saved(colors[0], "TIFF", save_all=True, append_images=colors[1:]),
        "trailing.png": png_bytes + bytes(1000),
        "large.jpg": saved(seven("RGB", (9_000, 9_000)), "JPEG"),
        "cmyk.jpg": saved(seven("CMYK"), "JPEG"),
        "packed.tif": saved(seven("1"), "TIFF", compression="group4"),
        "plain.ppm": b"P2 60 60 255\n" + b" ".join(b"%d" % value for value in np.asarray(seven()).ravel()),
    }
