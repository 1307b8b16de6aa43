import io

import numpy as np
from PIL import Image

from mnist_edge.preprocessing.orientation import apply_exif_orientation, may_have_exif


def test_orientation_is_obeyed_and_a_damaged_one_ignored() -> None:
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert np.array_equal(np.asarray(apply_exif_orientation(turned)), np.asarray(picture))
    picture.info["exif"] = b"Exif\x00\x00not a header"
    assert np.array_equal(np.asarray(apply_exif_orientation(picture)), np.asarray(picture))


def test_a_file_says_whether_it_may_have_an_orientation() -> None:
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("PNG", "JPEG", "WEBP", "TIFF"):
        plain, turned = io.BytesIO(), io.BytesIO()
        picture.save(plain, name)
        picture.save(turned, name, exif=exif)
        assert may_have_exif(Image.open(plain)) == (name == "TIFF")
        assert apply_exif_orientation(Image.open(plain)).size == (3, 2)
        assert apply_exif_orientation(Image.open(turned)).size == (2, 3)
