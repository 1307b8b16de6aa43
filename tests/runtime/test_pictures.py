import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import PictureError
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


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_unreadable(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=r"^it has no pixels$"):
        open_picture(Image.new("L", size))


def test_only_paths_have_a_path() -> None:
    assert path_of("a.png") == path_of(Path("a.png")) == "a.png"
    assert [path_of(other) for other in (b"a.png", np.zeros(3), io.BytesIO(), 7)] == [None] * 4
