"""`mnist_v3.h`, compiled for this machine and called."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.formats.c.compiler import compile_c, host_compiler
from mnist_edge.preprocessing.registry import c_header

OK, NO_DIGIT, BAD_ARGUMENT = range(3)

GUARD = 0x5A
"""What lies before and behind all that may be written to."""


class _Info(ctypes.Structure):
    _fields_ = (("other_digits", ctypes.c_int32), ("light_on_dark", ctypes.c_int32), ("box", ctypes.c_int32 * 4))


@dataclass(frozen=True)
class Prepared:
    """What the C returns: its code, the image `[28, 28]`, and what it says of the digit."""

    code: int
    image: NDArray[np.uint8]
    other_digits: int
    light_on_dark: bool
    box: tuple[int, ...]


def build(folder: Path, *flags: str, source: str | None = None) -> ctypes.CDLL:
    """Compile the header into a library in a folder, and load it."""
    (folder / "mnist_v3.h").write_text(c_header("mnist/3") if source is None else source, encoding="utf-8")
    (folder / "library.c").write_text('#define MNIST_V3_IMPLEMENTATION\n#include "mnist_v3.h"\n', encoding="utf-8")
    compile_c([*host_compiler(), "-std=c99", *flags, "-fPIC", "-shared", "-o", "library.so", "library.c"], folder)
    library = ctypes.CDLL(str(folder / "library.so"))
    library.mnist_v3_workspace_bytes.restype = ctypes.c_size_t
    library.mnist_v3_prepare.argtypes = (
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int),
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p),
    )
    return library


def prepare(library: ctypes.CDLL, picture: Image.Image | NDArray[np.uint8], less: int = 0) -> Prepared:
    """Prepare a picture, with `less` bytes of workspace than needed; nothing beyond what it may write to changes."""
    pixels = np.ascontiguousarray(picture)
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    size = library.mnist_v3_workspace_bytes(width, height) - less
    workspace = np.full(size + 128, GUARD, np.uint8)
    image, info, given = np.full(784 + 32, GUARD, np.uint8), _Info(), pixels.copy()
    start = 64 + -(workspace.ctypes.data + 64) % 4
    code = library.mnist_v3_prepare(
        *(given.ctypes.data, width, height, channels),
        *(workspace.ctypes.data + start, size, image.ctypes.data + 16, ctypes.addressof(info)),
    )
    assert np.array_equal(given, pixels)
    assert (np.concatenate([workspace[:start], workspace[start + size :], image[:16], image[-16:]]) == GUARD).all()
    return Prepared(
        code, image[16:-16].reshape(28, 28), info.other_digits, bool(info.light_on_dark), tuple(map(int, info.box))
    )
