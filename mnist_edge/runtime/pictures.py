"""Opening of pictures in every form in which they may be given."""

import io
import os
from typing import BinaryIO

import numpy as np
from PIL import Image

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.array_input import from_array
from mnist_edge.preprocessing.bounded_read import MAX_FILE_BYTES
from mnist_edge.preprocessing.decode import decode, load
from mnist_edge.types import AnyArray

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | AnyArray
"""A picture: path, content of a file, file object, Pillow image, or array (see `preprocessing.array_input`)."""


def open_picture(picture: Source) -> Image.Image:
    """Return a picture that came in any form as a Pillow image.

    Raises:
        PictureError: it can't be read.
        TypeError: it is not a picture in any form.
        ValueError: an array has a shape, dtype or range that a picture can't have.
    """
    match picture:
        case str() | os.PathLike():
            return load(picture)
        case bytes() | bytearray() | memoryview():
            return decode(bytes(picture))
        case Image.Image():
            if 0 in picture.size:
                raise PictureError("it has no pixels")
            return picture
        case np.ndarray():
            return from_array(picture)
    if isinstance(picture, io.TextIOBase):
        raise TypeError("the file is open as text, expected mode 'rb'")
    if not hasattr(picture, "read"):
        raise TypeError(
            f"{type(picture).__name__} is not a picture: expected a path, bytes, binary file, Pillow image or array"
        )
    return decode(_content(picture))


def _content(file: BinaryIO) -> bytes:
    """Return what is left in a file, or enough of it to see that it is too large, in as many parts as it gives.

    Raises:
        PictureError: it can't be read, or not without waiting for it.
        TypeError: it is open as text.
    """
    parts, left = [], MAX_FILE_BYTES + 1
    while left > 0:
        try:
            part: object = file.read(left)
        except OSError as error:
            raise PictureError(error.strerror or str(error)) from error
        if part is None:
            raise PictureError("the file has no more bytes yet: give one that waits for them")
        if not isinstance(part, bytes):
            raise TypeError("the file is open as text, expected mode 'rb'")
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def path_of(picture: object) -> str | None:
    """Return the path of a picture that was given as one, else None."""
    if isinstance(picture, (np.ndarray, bytes)) or not isinstance(picture, (str, os.PathLike)):
        return None  # the first test spares arrays the second, which is slow
    return os.fspath(picture)
