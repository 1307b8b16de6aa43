"""The preprocessing resize/1 in C gives the bytes that Python gives."""

import ctypes

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.formats.c.compiler import compile_c, host_compiler
from mnist_edge.preprocessing.registry import c_header
from mnist_edge.preprocessing.resize_v1 import MAX_SIDE, for_input
from mnist_edge.types import TensorSpec

OK, BAD_ARGUMENT = 0, 2
GUARD = 0x5A
"""What lies before and behind all that may be written to."""

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("c")
    (folder / "resize_v1.h").write_text(c_header("resize/1"), encoding="utf-8")
    (folder / "library.c").write_text('#define RESIZE_V1_IMPLEMENTATION\n#include "resize_v1.h"\n', encoding="utf-8")
    flags = ("-std=c99", "-O2", *WARNINGS, "-fPIC", "-shared")
    compile_c([*host_compiler(), *flags, "-o", "library.so", "library.c"], folder)
    loaded = ctypes.CDLL(str(folder / "library.so"))
    loaded.resize_v1_workspace_bytes.restype = ctypes.c_size_t
    loaded.resize_v1_prepare.argtypes = (
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t),
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int),
    )
    return loaded


def prepare(
    library: ctypes.CDLL, pixels: NDArray[np.uint8], shape: tuple[int, int, int], less: int = 0
) -> tuple[int, NDArray[np.uint8]]:
    """Return the code and the image `[channels, height, width]`; nothing beyond what it may write to changes."""
    channels, height, width = shape
    rows, columns = pixels.shape[:2]
    size = library.resize_v1_workspace_bytes(columns, rows, width, height, channels) - less
    workspace, image = np.full(size + 128, GUARD, np.uint8), np.full(int(np.prod(shape)) + 32, GUARD, np.uint8)
    start = 64 + -(workspace.ctypes.data + 64) % 4
    code = library.resize_v1_prepare(
        *(pixels.ctypes.data, columns, rows, 1 if pixels.ndim == 2 else pixels.shape[2]),
        *(workspace.ctypes.data + start, size, image.ctypes.data + 16, width, height, channels),
    )
    assert (np.concatenate([workspace[:start], workspace[start + size :], image[:16], image[-16:]]) == GUARD).all()
    return code, image[16:-16].reshape(height, width, channels).transpose(2, 0, 1)


SIDES = st.integers(1, 300) | st.integers(300, 1_500)
OUTPUTS = st.integers(1, 40) | st.integers(1, MAX_SIDE)


@given(
    columns=SIDES,
    rows=SIDES,
    channels=st.sampled_from([1, 3, 4]),
    width=OUTPUTS,
    height=OUTPUTS,
    out_channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
@example(columns=20_000, rows=30, channels=3, width=28, height=28, out_channels=3, seed=0)
@example(columns=2_000, rows=2_000, channels=4, width=1, height=1, out_channels=1, seed=1)
@example(columns=28, rows=28, channels=1, width=28, height=28, out_channels=1, seed=2)
def test_any_picture_gives_the_same_bytes(
    library: ctypes.CDLL,
    columns: int,
    rows: int,
    channels: int,
    width: int,
    height: int,
    out_channels: int,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (-(-rows // 3), -(-columns // 3), channels), dtype=np.uint8)
    pixels = np.ascontiguousarray(np.repeat(np.repeat(coarse, 3, 0), 3, 1)[:rows, :columns])
    plain = pixels[..., 0] if channels == 1 else pixels
    shape = (out_channels, height, width)
    code, image = prepare(library, np.ascontiguousarray(plain), shape)
    assert code == OK
    expected = for_input(TensorSpec("image", shape)).preprocess(Image.fromarray(plain)).tensor
    assert np.array_equal(image, np.rint(255 * expected.reshape(shape)))


def test_arguments_that_are_out_of_range_are_refused(library: ctypes.CDLL) -> None:
    page = np.zeros((40, 50), np.uint8)
    assert prepare(library, page, (1, 28, 28), less=1)[0] == BAD_ARGUMENT
    assert prepare(library, np.zeros((40, 50, 2), np.uint8), (1, 28, 28))[0] == BAD_ARGUMENT
    for sizes in ((0, 5, 28, 28, 1), (5, 32_768, 28, 28, 1), (5, 5, 97, 28, 1), (5, 5, 28, 0, 1), (5, 5, 28, 28, 2)):
        assert library.resize_v1_workspace_bytes(*sizes) == 0
    arguments = (page.ctypes.data, 50, 40, 1, None, 1 << 30, page.ctypes.data, 28, 28, 1)
    assert library.resize_v1_prepare(*arguments) == BAD_ARGUMENT
