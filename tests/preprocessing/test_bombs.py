"""Memory and time that hostile pictures take, in processes of their own, as the documentation promises it."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mnist_edge.errors import PictureError
from mnist_edge.preprocessing.decode import decode
from tests.conftest import ROOT
from tests.preprocessing.bombs import bombs

MEGABYTES, SECONDS = 300, 2.0

MEASURE = (
    "import re, sys, time\n"
    "from mnist_edge import Recognizer\n"
    "recognizer = Recognizer()\n"
    "start = time.process_time()\n"
    "recognizer.predict(sys.argv[1])\n"
    "seconds = time.process_time() - start\n"
    "with open('/proc/self/status') as status:\n"
    "    print(int(re.search(r'VmHWM:\\s+(\\d+)', status.read())[1]) // 1024, seconds)"
)
"""Prints the peak of the memory in MB, of this process alone, and the seconds of the processor that a picture takes."""

LARGEST = [
    "GIF, large, background",
    "JPEG, scans and padding",
    "JPEG, turned",
    "PNG, large, colors of 16 bits",
    "PNG, one wide",
    "PNG, transparency",
    "PNG, turned",
    "TIFF, fields",
    "TIFF, one strip, lzma",
    "TIFF, tile",
    "TIFF, turned",
    "WebP, large",
    "WebP, small with EXIF",
]
"""Those that take, or would take, most of their kind."""

REFUSED = {
    "PNG, one wide": "too large to decode: 1 × 89,000,000 pixels",
    "PNG, one high": "too large to decode: 89,000,000 × 1 pixels",
    "PNG, pieces": "too many parts",
    "BMP, one wide": "too large to decode: 1 × 89,000,000 pixels",
    "GIF, frame beyond the screen": "too large to decode: 13,300 × 13,300 pixels",
    "JPEG, junk": "too many parts",
    "PPM, one wide": "too large to decode: 1 × 89,000,000 pixels",
    "TIFF, tile": "strips, tiles or fields are too large: 60,000 × 60,000 pixels in one",
    "TIFF, tile of colors": "strips, tiles or fields are too large: 16,000 × 16,000 pixels in one",
    "TIFF, one wide, a row a strip": "too many parts",
    "TIFF, fields": "strips, tiles or fields are too large",
    "TIFF, shared strips": "claim more than the whole file",
    "TIFF, repeated strips": "too many parts",
    "WebP, large with EXIF": "too large to decode: 4,000 × 3,000 pixels",
}
"""Files that are refused by what they claim, and what is said of them."""

READ_ANYWAY = [
    *("PNG, long text", "PNG, many texts", "PNG, EXIF", "PNG, raw profile", "PNG, behind the end"),
    *("JPEG, EXIF", "JPEG, profile", "JPEG, comments", "JPEG, photoshop"),
]
"""Files of which only what is not needed for the pixels is hostile."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused_by_what_it_claims(name: str) -> None:
    with pytest.raises(PictureError, match=REFUSED[name]):
        decode(bombs()[name]())


@pytest.mark.parametrize("name", READ_ANYWAY)
def test_what_is_not_needed_for_the_pixels_harms_nothing(name: str) -> None:
    assert decode(bombs()[name]()).size == (60, 60)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")
@pytest.mark.parametrize("name", LARGEST)
def test_a_bomb_keeps_to_the_memory_and_time_of_a_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(bombs()[name]())
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    megabytes, seconds = done.stdout.split()
    assert done.stderr == ""
    assert int(megabytes) <= MEGABYTES
    assert float(seconds) <= SECONDS


@pytest.mark.slow
def test_every_bomb_is_answered_or_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in bombs().values():
            message = ""
            try:
                decode(make())
            except PictureError as error:
                message = str(error)
            assert message.isprintable()
