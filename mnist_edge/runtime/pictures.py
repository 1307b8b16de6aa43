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
    try:
        data = picture.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    if not isinstance(data, bytes):
        raise TypeError("the file is open as text, expected mode 'rb'")
    return decode(data)


def path_of(picture: object) -> str | None:
    """Return the path of a picture that was given as one, else None."""
    if isinstance(picture, (np.ndarray, bytes)) or not isinstance(picture, (str, os.PathLike)):
        return None  # the first test spares arrays the second, which is slow
    return os.fspath(picture)
