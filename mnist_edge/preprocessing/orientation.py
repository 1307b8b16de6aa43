"""The orientation of a picture, which cameras write into its EXIF data instead of turning the pixels.

It is read here and not by Pillow, which keeps a copy of what each field of EXIF data claims to hold, so that a few
kilobytes can ask for gigabytes, and warns of what it can't understand.
"""

import re
import struct

from PIL import Image

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.guard import PILLOW_GUARD

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1

_EXIF_HEADER = b"Exif\0\0"

_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
"""How EXIF data begin, which are a TIFF file without a picture (Exif 2.32, section 4.5.2)."""

_INTEGERS = {3: "H", 4: "I", 8: "h", 9: "i"}
"""Types of a field that holds a whole number, as `struct` names them."""

_XMP_KEYS = ("XML:com.adobe.xmp", "xmp")
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

_RAW_PROFILE_KEY = "Raw profile type exif"
"""Where ImageMagick keeps EXIF data in a PNG: three lines, then hexadecimal digits."""

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of each orientation upright (TIFF 6.0, page 36)."""


def apply_exif_orientation(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; where that can't be read, leave it as it is.

    Raises:
        PictureError: its pixels can't be read.
    """
    with PILLOW_GUARD:
        picture.load()  # a PNG may have its EXIF data behind the pixels, and a TIFF is turned by Pillow
    method = _METHODS.get(orientation_of(picture))
    if method is None:
        return picture
    with PILLOW_GUARD:
        return picture.transpose(method)


def orientation_of(picture: Image.Image) -> int:
    """Return the orientation that a picture whose pixels were read claims, as EXIF numbers them; 1 is upright."""
    exif = getattr(picture, "_exif", None)  # where Pillow keeps what was read, or set by whoever made the picture
    if exif is not None:
        try:
            with PILLOW_GUARD:
                found = exif.get(_ORIENTATION_TAG, _UPRIGHT)
        except PictureError:
            return _UPRIGHT
        return found if isinstance(found, int) else _UPRIGHT
    info = picture.info
    if not info:
        return _UPRIGHT
    found = _from_exif(info["exif"]) if isinstance(info.get("exif"), bytes) else None
    if found is None and isinstance(info.get(_RAW_PROFILE_KEY), str):
        found = _from_raw_profile(info[_RAW_PROFILE_KEY])
    return found or next(filter(None, (_from_xmp(info.get(key)) for key in _XMP_KEYS)), _UPRIGHT)


def _from_exif(data: bytes) -> int | None:
    """Return the orientation in EXIF data, or None where there is none."""
    begin = 0
    while data.startswith(_EXIF_HEADER, begin):
        begin += len(_EXIF_HEADER)
    data = data[begin:]  # once: a picture may repeat the header a million times
    order = _BYTE_ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return None
    (fields,) = struct.unpack_from(order + "H", data, start)
    entries = data[start + 2 : start + 2 + 12 * fields]
    found = None
    for tag, kind, count, value in struct.iter_unpack(order + "HHI4s", entries[: len(entries) // 12 * 12]):
        if tag == _ORIENTATION_TAG and count == 1 and kind in _INTEGERS:
            (found,) = struct.unpack_from(order + _INTEGERS[kind], value)
    return found


def _from_raw_profile(text: str) -> int | None:
    try:
        return _from_exif(bytes.fromhex("".join(text.split("\n")[3:])))
    except ValueError:
        return None


def _from_xmp(text: object) -> int | None:
    """Return the orientation in an XMP packet, or None where there is none."""
    packet = text.encode(errors="replace") if isinstance(text, str) else text
    found = _XMP_ORIENTATION.search(packet) if isinstance(packet, bytes) else None
    return int(found[1]) if found else None
