import io
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from mnist_edge.errors import NoDigitError, PictureError
from mnist_edge.preprocessing import decode
from mnist_edge.preprocessing.mnist_v3 import preprocess
from tests.conftest import ROOT
from tests.preprocessing import bombs
from tests.preprocessing import hostile_pictures as hostile

FORMATS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {},
    "GIF": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
    "PPM": {},
}
"""Pillow's names of the formats that are read, and options of saving."""

SAVED = {name: hostile.saved(hostile.seven(), name, **options) for name, options in FORMATS.items()}
WHOLE_PICTURES = hostile.odd()
BROKEN = hostile.broken()
BOMBS = hostile.bombs()
SECONDS, MEGABYTES = 2.0, 300


def answered_or_refused(data: bytes) -> None:
    """Read a picture to the end, or fail in one clear line."""
    message = ""
    try:
        assert np.isfinite(preprocess(decode.decode(data)).tensor).all()
    except (PictureError, NoDigitError) as error:
        message = str(error)
    assert message.isprintable()


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_picture_that_was_saved(name: str) -> None:
    gray = np.asarray(decode.decode(SAVED[name]).convert("L"), dtype=int)
    assert np.abs(gray - np.asarray(hostile.seven(), dtype=int)).max() <= (40 if name == "JPEG" else 0)


@pytest.mark.parametrize("name", WHOLE_PICTURES)
def test_an_unusual_file_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(WHOLE_PICTURES[name])
    picture = decode.load(path)
    assert picture.size in {(60, 60), (4_500, 4_500)}
    usual = preprocess(hostile.seven()).tensor
    assert np.corrcoef(preprocess(picture).tensor.ravel(), usual.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line(name: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode.decode(BROKEN[name])
    assert str(caught.value).isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_neither_time_nor_a_warning(name: str) -> None:
    start = time.process_time()
    answered_or_refused(BOMBS[name]())
    assert time.process_time() - start < SECONDS


@pytest.mark.slow
def test_all_bombs_together_take_little_memory(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    program = (
        "import re, sys\n"
        "from mnist_edge import Recognizer\n"
        "answers = Recognizer().predict(sys.argv[1:])\n"
        "with open('/proc/self/status') as status:\n"
        "    print(len(answers), int(re.search(r'VmHWM:\\s+(\\d+)', status.read())[1]) // 1024)"
    )
    paths = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    answers, megabytes = map(int, done.stdout.split())
    assert (answers, done.stderr) == (len(BOMBS), "")
    assert megabytes <= MEGABYTES


@pytest.mark.parametrize(
    ("name", "size"), [("13300.png", "13,300 × 13,300"), ("60000.png", "60,000 × 60,000"), ("16383.webp", "16,383 ×")]
)
def test_a_picture_that_is_too_large_is_named_by_its_size(name: str, size: str) -> None:
    with pytest.raises(PictureError, match=f"too large to decode: {size}"):
        decode.decode(BOMBS[name]())


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    assert decode.decode(BOMBS["13300.jpg"]()).size == (3_325, 3_325)


@pytest.mark.parametrize("tail", [b"", b"!", b"!\xf9", b"!\xf9\x04", b"!\xf9\x04\x08", b"!\xfe\xff", b","])
def test_a_gif_that_ends_anywhere_is_damaged(tail: bytes) -> None:
    with pytest.raises(PictureError, match="damaged"):
        decode.decode(SAVED["GIF"][:13] + bytes(768) + tail)


def test_a_palette_that_is_missing_is_said() -> None:
    data = hostile.png(60, 60, hostile.squeezed(61 * 60), color=3)
    with pytest.raises(PictureError, match="its palette is missing"):
        decode.decode(data)


def test_of_an_animated_png_the_default_picture_is_read() -> None:
    frames = [hostile.seven("RGB"), Image.new("RGB", (60, 60), "white")]
    for default in (False, True):
        data = hostile.saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=default)
        assert np.array_equal(np.asarray(decode.decode(data)), np.asarray(frames[0]))
    frame = hostile.chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4, 4, 0, 0, 1, 1, 0, 0))
    data = SAVED["PNG"][:33] + hostile.chunk(b"acTL", struct.pack(">II", 9, 0)) + frame + SAVED["PNG"][33:]
    assert np.array_equal(np.asarray(decode.decode(data)), np.asarray(hostile.seven()))


@pytest.mark.parametrize("error", [MemoryError, AssertionError, KeyError("mode"), Image.DecompressionBombError])
@pytest.mark.parametrize("name", FORMATS)
def test_whatever_a_decoder_raises_is_the_pictures(
    error: Exception, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", failing)
    with pytest.raises(PictureError, match=r"needs too much memory|is damaged") as caught:
        decode.decode(SAVED[name])
    assert str(caught.value).isprintable()


def test_an_error_in_code_of_our_own_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_check_picture", lambda *_: 1 / 0)
    for data in SAVED.values():
        with pytest.raises(ZeroDivisionError):
            decode.decode(data)


@pytest.mark.parametrize("name", FORMATS)
def test_decoders_say_nothing_on_stderr(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither as warnings, nor by logging, nor past the interpreter, as libtiff does."""
    random = np.random.default_rng(0)
    options = {"compression": "jpeg"} if name == "TIFF" else {}
    for data in (SAVED[name], hostile.saved(hostile.seven("RGB"), name, **options)):
        for _ in range(150):
            damaged = bytearray(data)
            for at in random.integers(0, random.choice([60, len(data)]), 3):
                damaged[at % len(data)] = random.integers(0, 256)
            answered_or_refused(bytes(damaged))
    answered_or_refused(bombs.gif_of((60, 60), (9_900, 9_900)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [3, 5, 12])
def test_what_decoders_log_is_not_printed(kind: int) -> None:
    """In a process without handlers, since pytest has one of its own."""
    program = (
        "import sys\nfrom mnist_edge import Recognizer\nprint(Recognizer().predict(sys.stdin.buffer.read()).status)"
    )
    data = bombs.tiff_of(60, 60, (277, kind, 1, 7))
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"unreadable\n", b"")


FORKS = """
import os, signal, sys, threading, warnings
from mnist_edge.preprocessing.decode import decode
data, ended = sys.stdin.buffer.read(), threading.Event()
def work():
    while not ended.is_set():
        decode(data)
decode(data)
filters, stderr = list(warnings.filters), os.fstat(2)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
codes = []
for _ in range(30):
    child = os.fork()
    if not child:
        signal.alarm(20)
        decode(data)
        os._exit(list(warnings.filters) != filters or not os.path.samestat(os.fstat(2), stderr))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ended.set()
print(sum(code != 0 for code in codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_a_fork_while_threads_decode_finds_the_decoder_ready(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        input=SAVED[name],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")


def test_a_name_of_any_bytes_is_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(path)).write_bytes(SAVED["PNG"])
    assert decode.load(os.fsdecode(path)).size == (60, 60)


def test_only_the_formats_that_are_needed_are_decoded() -> None:
    for name in ("TGA", "PCX", "ICO", "SGI", "DDS", "JPEG2000", "AVIF", "EPS", "PDF"):
        data = hostile.saved(hostile.seven("RGB"), name)
        with pytest.raises(PictureError, match="not a picture in a format that is read"):
            decode.decode(data)


def test_only_the_plugin_that_is_needed_is_imported() -> None:
    program = (
        "import sys\n"
        "from mnist_edge.preprocessing.decode import decode\n"
        "decode(sys.stdin.buffer.read())\n"
        "print(sorted(name for name in sys.modules if name.endswith('ImagePlugin')))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=SAVED["PNG"], capture_output=True, check=True)
    assert done.stdout == b"['PIL.PngImagePlugin']\n"


def test_threads_decode_side_by_side_and_leave_the_warnings_as_they_were() -> None:
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                for data in (*BROKEN.values(), *SAVED.values()):
                    answered_or_refused(data)
        except BaseException as error:  # reported by the test
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


@given(st.binary(max_size=300))
def test_noise_is_answered_or_refused(data: bytes) -> None:
    answered_or_refused(data)


@given(st.sampled_from(sorted(SAVED)), st.binary(min_size=1, max_size=300))
def test_noise_behind_the_first_bytes_of_each_format(name: str, data: bytes) -> None:
    answered_or_refused(SAVED[name][:12] + data)


@given(st.sampled_from(sorted(SAVED)), st.integers(0, 4000))
def test_truncated_files_are_answered_or_refused(name: str, length: int) -> None:
    answered_or_refused(SAVED[name][:length])


@given(st.sampled_from(sorted(SAVED)), st.lists(st.integers(0, 32_000), min_size=1, max_size=8), st.booleans())
def test_flipped_bits_are_answered_or_refused(name: str, bits: list[int], early: bool) -> None:
    """Checksums of a PNG are corrected, so that its parts are looked at and not only those."""
    data = bytearray(SAVED[name])
    for bit in bits:
        data[bit // 8 % (100 if early else len(data)) % len(data)] ^= 1 << bit % 8
    answered_or_refused(with_checksums(bytes(data)) if name == "PNG" else bytes(data))


def with_checksums(data: bytes) -> bytes:
    """Return a PNG with the checksums of its chunks corrected, as far as they can be found."""
    result, position = bytearray(data), 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if end + 4 > len(data):
            break
        result[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(result)


@given(
    st.sampled_from(sorted(SAVED)),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8),
    st.booleans(),
)
def test_changed_bytes_are_answered_or_refused(name: str, changes: list[tuple[int, int]], early: bool) -> None:
    """Half of them in the first hundred bytes, where formats keep what matters."""
    data = bytearray(SAVED[name])
    for position, value in changes:
        data[position % (100 if early else len(data)) % len(data)] = value
    answered_or_refused(bytes(data))


@given(st.data())
def test_pictures_of_any_mode_size_and_content_are_answered_or_refused(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    length = len(Image.new(mode, size).tobytes())
    seed = data.draw(st.integers(0, 1000))
    picture = Image.frombytes(mode, size, np.random.default_rng(seed).bytes(length))
    format = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM"]))
    try:
        content = hostile.saved(picture, format)
    except (OSError, ValueError):  # a format that can't hold the mode
        return
    answered_or_refused(content)


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (1, 1), (2, 2)])
def test_pictures_of_extreme_proportions(size: tuple[int, int]) -> None:
    ramp = np.arange(size[0] * size[1], dtype=np.uint32).astype(np.uint8).reshape(size[1], size[0])
    answered_or_refused(hostile.saved(Image.fromarray(ramp), "PNG"))


def test_an_open_picture_keeps_nothing_of_its_file() -> None:
    data = io.BytesIO(SAVED["GIF"])
    picture = decode.decode(data.getvalue())
    data.close()
    assert picture.convert("L").getpixel((0, 0)) == 255


@pytest.mark.slow
def test_a_fuzzer_that_follows_the_code_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is for Linux and macOS")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, data in {**SAVED, **BROKEN, **WHOLE_PICTURES}.items():
        if len(data) < 10_000:
            (corpus / name.encode().hex()).write_bytes(data)
    limits = [
        "-max_total_time=15",
        "-timeout=5",
        "-rss_limit_mb=0",
        "-max_len=20000",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.preprocessing.fuzz_decode", str(corpus), *limits],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done " in done.stderr
