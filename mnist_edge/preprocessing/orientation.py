"""The orientation of a picture, which cameras write into its EXIF data instead of turning the pixels."""

import struct

from PIL import Image

from mnist_edge.errors import PictureError

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1

_EXIF_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Where a picture's `info` has EXIF data, or may have the orientation that belongs there."""


def may_have_exif(picture: Image.Image) -> bool:
    """Return whether a decoded picture may have EXIF data; asking Pillow for them takes longer than this."""
    read_before = getattr(picture, "_exif", None)  # where Pillow keeps them, changed or not
    return picture.format == "TIFF" or read_before is not None or not _EXIF_KEYS.isdisjoint(picture.info)


def apply_exif_orientation(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; where that can't be read, leave it as it is."""
    try:
        picture.load()  # a PNG may have its EXIF data behind the pixels
        if not may_have_exif(picture) or picture.getexif().get(_ORIENTATION_TAG, _UPRIGHT) == _UPRIGHT:
            return picture
        from PIL import ImageOps  # most pictures do without it

        return ImageOps.exif_transpose(picture)
    except (PictureError, SyntaxError, ValueError, OSError, struct.error):
        return picture
