import io
import struct
import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.decode import decode
from mnist_edge.preprocessing.orientation import apply_exif_orientation, orientation_of
from tests.preprocessing.bombs import TURNED
from tests.preprocessing.hostile_pictures import seven


def test_orientation_is_obeyed_and_a_damaged_one_ignored() -> None:
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert np.array_equal(np.asarray(apply_exif_orientation(turned)), np.asarray(picture))
    picture.info["exif"] = b"Exif\x00\x00not a header"
    assert np.array_equal(np.asarray(apply_exif_orientation(picture)), np.asarray(picture))


def test_every_format_that_can_say_so_is_turned() -> None:
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("PNG", "JPEG", "WEBP", "TIFF"):
        plain, turned = io.BytesIO(), io.BytesIO()
        picture.save(plain, name)
        picture.save(turned, name, exif=exif)
        for opened in (Image.open, lambda file: decode(file.getvalue())):
            assert apply_exif_orientation(opened(plain)).size == (3, 2)
            assert apply_exif_orientation(opened(turned)).size == (2, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_orientation_is_as_pillow_reads_it(order: str, orientation: int) -> None:
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    head = b"II*\0" if order == "<" else b"MM\0*"
    field = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    picture.info["exif"] = b"Exif\0\0" + head + struct.pack(order + "IH", 8, 1) + field + bytes(4)
    assert orientation_of(picture) == orientation
    upright = ImageOps.exif_transpose(picture)
    assert np.array_equal(np.asarray(apply_exif_orientation(picture)), np.asarray(upright))


def test_a_header_that_is_repeated_without_end_costs_no_time() -> None:
    picture = Image.new("L", (2, 2))
    picture.info["exif"] = b"Exif\0\0" * 200_000 + b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    start = time.process_time()
    assert orientation_of(picture) == 6
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("xmp", b'<x tiff:Orientation="6"/>'),
        ("xmp", b"<tiff:Orientation>6</tiff:Orientation>"),
        ("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>'),
        ("Raw profile type exif", f"\nexif\n{len(TURNED)}\n{TURNED.hex()}\n"),
    ],
)
def test_an_orientation_elsewhere_counts_too(key: str, value: object) -> None:
    picture = Image.new("L", (3, 2))
    picture.info[key] = value
    assert orientation_of(picture) == 6
    upright = ImageOps.exif_transpose(picture)
    assert upright is not None
    assert apply_exif_orientation(picture).size == upright.size == (2, 3)


@pytest.mark.parametrize("key", ["exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"])
@pytest.mark.parametrize(
    "value", [b"", b"II*\0", b"\xff" * 40, "", "\n\n\nnot hexadecimal", 7, None, (1, 2), TURNED[:20]]
)
def test_what_can_not_be_understood_is_upright(key: str, value: object) -> None:
    picture = Image.new("L", (3, 2))
    picture.info[key] = value
    assert orientation_of(picture) == 1


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_data_with_any_bytes_cost_at_most_the_orientation(name: str) -> None:
    """Types, counts and offsets at random, among them a resolution that is text, and everything damaged."""
    random = np.random.default_rng(len(name))
    picture = seven()
    for number in range(300 if name == "JPEG" else 60):
        fields = random.integers(0, 14)
        tags = random.choice([0x011A, 0x011B, 0x0128, 0x0112, 0x8769, 0x8825, 0x0110, 0x927C], fields)
        entries = b"".join(
            struct.pack("<HHII", tag, random.integers(0, 19), *random.choice([0, 1, 2, 4, 9, 200, 2**32 - 1], 2))
            for tag in tags
        )
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, fields) + entries + random.bytes(int(random.integers(0, 60)))
        file = io.BytesIO()
        if name == "TIFF":
            picture.save(file, name)
            data = with_fields(file.getvalue(), entries)
        else:
            picture.save(file, name, exif=exif if number % 2 else random.bytes(40))
            data = file.getvalue()
        try:
            decoded = apply_exif_orientation(decode(data))
        except PictureError:
            assert name == "TIFF"  # there the fields are those of the picture itself
            continue
        assert decoded.size == (60, 60)


def with_fields(data: bytes, entries: bytes) -> bytes:
    """Return a TIFF with a copy of its directory, and these fields too, at its end."""
    (start,) = struct.unpack_from("<I", data, 4)
    (fields,) = struct.unpack_from("<H", data, start)
    own = data[start + 2 : start + 2 + 12 * fields]
    count = struct.pack("<H", fields + len(entries) // 12)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + count + own + entries + bytes(4)


def test_what_pillow_raises_over_exif_data_costs_only_the_orientation() -> None:
    class Damaged(Image.Exif):
        def get(self, *_: object) -> object:
            raise TypeError("damaged")

    picture = Image.new("L", (3, 2))
    picture._exif = Damaged()
    assert orientation_of(picture) == 1
