import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.bounded_read import MAX_FILE_BYTES
from mnist_edge.runtime.pictures import Source, open_picture, path_of
from tests.conftest import ROOT

TWO = ROOT / "examples" / "two.png"


def test_every_form_gives_the_same_picture() -> None:
    with TWO.open("rb") as file:
        forms: list[Source] = [str(TWO), TWO, TWO.read_bytes(), file, io.BytesIO(TWO.read_bytes()), Image.open(TWO)]
        pictures = [open_picture(form) for form in forms]
    assert len({picture.convert("RGBA").tobytes() for picture in pictures}) == 1
    values = np.asarray(pictures[0].convert("RGB"))
    assert np.array_equal(np.asarray(open_picture(values)), values)


def test_what_is_not_a_picture_is_a_type_error() -> None:
    with TWO.open(encoding="latin-1") as file, pytest.raises(TypeError, match="expected mode 'rb'"):
        open_picture(file)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="NoneType is not a picture"):
        open_picture(None)  # type: ignore[arg-type]


class Dripping(io.RawIOBase):
    """An unbuffered file, as a pipe is: each call reads some bytes; None says that there are none yet."""

    def __init__(self, parts: list[bytes | None]) -> None:
        self._parts = parts
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes | None:
        part = self._parts.pop(0) if self._parts else b""
        if part is not None:
            part = part[:size]
            self.taken += len(part)
        return part


def test_a_file_that_is_read_in_parts_is_read_to_its_end() -> None:
    data = TWO.read_bytes()
    parts: list[bytes | None] = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert open_picture(Dripping(parts)).tobytes() == open_picture(data).tobytes()  # type: ignore[arg-type]


def test_of_a_file_without_an_end_no_more_is_read_than_may_be() -> None:
    endless = Dripping([bytes(1 << 20)] * 100)
    with pytest.raises(PictureError, match="MB"):
        open_picture(endless)  # type: ignore[arg-type]
    assert endless.taken == MAX_FILE_BYTES + 1


def test_a_file_that_has_nothing_yet_is_unreadable() -> None:
    with pytest.raises(PictureError, match=r"^the file has no more bytes yet: give one that waits for them$"):
        open_picture(Dripping([TWO.read_bytes()[:1000], None]))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_unreadable(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=r"^it has no pixels$"):
        open_picture(Image.new("L", size))


def test_only_paths_have_a_path() -> None:
    assert path_of("a.png") == path_of(Path("a.png")) == "a.png"
    assert [path_of(other) for other in (b"a.png", np.zeros(3), io.BytesIO(), 7)] == [None] * 4
