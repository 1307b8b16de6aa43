"""The preprocessing in C gives the bytes that Python gives."""

import ctypes
import dataclasses
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import NoDigitError
from mnist_edge.formats.c.compiler import compile_c, host_compiler, zig
from mnist_edge.formats.c.devices import firmware
from mnist_edge.formats.c.elf import read_elf
from mnist_edge.formats.c.emulator import Emulator
from mnist_edge.formats.c.targets import TARGETS
from mnist_edge.preprocessing.decode import load
from mnist_edge.preprocessing.mnist_v3 import background, layout, pipeline, segmentation, size_normalization
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.preprocessing.registry import c_header
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.datasets.splits import Split
from tests.conftest import ROOT
from tests.preprocessing.mnist_v3.in_c import BAD_ARGUMENT, NO_DIGIT, OK, build, prepare
from tests.preprocessing.strokes import ink, scattered

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("c"), "-O2", *WARNINGS)


def difference(library: ctypes.CDLL, picture: Image.Image) -> int:
    """Return the largest difference of a byte between C and Python, 256 where one of them sees no digit."""
    found = prepare(library, picture)
    try:
        expected = pipeline.preprocess(picture)
    except NoDigitError:
        return 0 if found.code == NO_DIGIT else 256
    if found.code != OK or found.other_digits != expected.other_digits:
        return 256
    return int(np.abs(found.image - np.rint(255 * expected.tensor.reshape(28, 28))).max())


def test_constants_are_those_of_python() -> None:
    defined = dict(re.findall(r"^#define MNIST_V3_([A-Z_]+) ([0-9.e-]+)(?: .*)?$", c_header("mnist/3"), re.MULTILINE))
    compared = 0
    for module in (background, layout, pipeline, segmentation, size_normalization):
        for name, value in vars(module).items():
            if name in defined:
                assert float(defined[name]) == pytest.approx(float(value), rel=1e-7), name
                compared += 1
    assert compared == 35
    assert (float(defined["BETWEEN_LESS"]), float(defined["BETWEEN_MORE"])) == background.BETWEEN
    widths = float(defined["MIN_STROKE_WIDTH"]), float(defined["MAX_STROKE_WIDTH"])
    assert widths == size_normalization.STROKE_WIDTHS
    assert int(defined["SIDE"]) == size_normalization.INPUT_SIDE


@pytest.mark.slow
def test_digits_of_mnist_pass_unchanged_and_inverted(library: ctypes.CDLL, test_data: Split) -> None:
    images = np.rint(255 * test_data.images[:, 0].numpy()).astype(np.uint8)
    for image in images[:2_000]:
        assert np.array_equal(prepare(library, image).image, image)
        assert np.array_equal(prepare(library, 255 - image).image, image)


def photographs(images: np.ndarray, count: int, seed: int) -> Iterator[Image.Image]:
    """Yield digits on paper: of any size, in uneven light, with grain, ruled lines, a dark edge, or transparency."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        side, digit = int(generator.integers(20, 300)), images[generator.integers(len(images))]
        width, height = side + int(generator.integers(0, 200)), side + int(generator.integers(0, 200))
        left, top = int(generator.integers(0, width - side + 1)), int(generator.integers(0, height - side + 1))
        paper = np.zeros((height, width))
        resized = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
        paper[top : top + side, left : left + side] = np.asarray(resized) / 255
        low, high = sorted(generator.uniform(0, 255, 2))
        gray = low + max(high - low, 60) * (paper if generator.random() < 0.5 else 1 - paper)
        gray += generator.uniform(-60, 60) * np.linspace(-0.5, 0.5, width)
        if generator.random() < 0.5:
            gray += generator.normal(0, generator.uniform(0, 12), gray.shape)
        if generator.random() < 0.3:
            gray[:: max(12, height // 6)] -= 60
        if generator.random() < 0.3:
            gray[:, :: max(12, width // 6)] -= 60
        if generator.random() < 0.2:
            gray[: int(height * generator.uniform(0.02, 0.2))] = generator.uniform(0, 255)
        colors = np.clip(gray[..., np.newaxis] * generator.uniform(0.6, 1, 3), 0, 255).astype(np.uint8)
        alpha = np.clip(765 * np.abs(gray - gray.mean()) / np.abs(gray - gray.mean()).max(), 0, 255).astype(np.uint8)
        yield Image.fromarray(
            (np.clip(gray, 0, 255).astype(np.uint8), colors, np.dstack([colors, alpha]))[generator.integers(3)]
        )


def noise(count: int, seed: int) -> Iterator[Image.Image]:
    """Yield pictures of noise of any size and mode: bytes, black and white, one color, or coarse."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        height, width = generator.integers(1, 120, 2)
        pixels = generator.integers(0, 256, (height, width, (1, 3, 4)[generator.integers(3)]), dtype=np.uint8)
        kind = generator.integers(4)
        pixels = (pixels, pixels // 200 * 255, pixels, np.repeat(np.repeat(pixels, 4, 0), 4, 1))[kind]
        if kind == 2:
            pixels[...] = pixels[:1, :1]
        yield Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def drawn(count: int, seed: int) -> Iterator[Image.Image]:
    """Yield digits drawn with strokes, some so small in a large picture that they are read again from nearer."""
    generator = np.random.default_rng(seed)
    for index in range(count):
        side, large = float(generator.uniform(16, 400)), index % 4 == 0
        width, height = (int(generator.integers(810, 1900)) if large else int(2 * side + 20) for _ in range(2))
        box = (generator.uniform(0, 20), generator.uniform(0, 20), 0.7 * min(side, height - 40), min(side, height - 40))
        strokes = ink(index % 10, (width, height), box, float(generator.uniform(1.5, 0.16 * side)))
        yield Image.fromarray(np.rint(230 - 200 * strokes).astype(np.uint8))


@pytest.mark.parametrize(
    "count", [pytest.param(60, id="a few"), pytest.param(250, id="hundreds", marks=pytest.mark.slow)]
)
def test_pictures_give_the_same_bytes(count: int, library: ctypes.CDLL, test_data: Split) -> None:
    images = np.rint(255 * test_data.images[:, 0].numpy()).astype(np.uint8)
    pictures = (*photographs(images, count, count), *noise(count, count), *drawn(count // 4, count))
    differences = np.array([difference(library, picture) for picture in pictures])
    assert (differences <= 1).mean() >= 0.999
    assert (differences == 0).mean() > 0.99


@pytest.mark.slow
def test_alpha_of_255_everywhere_is_no_alpha(library: ctypes.CDLL) -> None:
    """Large enough to be reduced, where the mean of the colors is not that of their luminances."""
    generator = np.random.default_rng(4)
    for digit, box in ((2, (200.0, 200.0, 500.0, 600.0)), (3, (500.0, 400.0, 40.0, 60.0))):
        strokes = ink(digit, (900, 1000), box, 0.1 * box[3])[..., np.newaxis]
        colors = generator.uniform((180, 150, 200), 250) * (1 - strokes) + np.array([80, 20, 50]) * strokes
        pixels = np.clip(colors + generator.normal(0, 12, colors.shape), 0, 255).astype(np.uint8)
        plain, opaque = pixels, np.dstack([pixels, np.full((1000, 900), 255, np.uint8)])
        assert np.array_equal(prepare(library, opaque).image, prepare(library, plain).image)
        for picture in (plain, opaque):
            assert difference(library, Image.fromarray(picture)) == 0
        opaque[999, 899, 3] = 254
        assert difference(library, Image.fromarray(opaque)) == 0


def test_pictures_of_the_examples_are_read_as_python_reads_them(library: ctypes.CDLL) -> None:
    recognizer = Recognizer()
    for path in sorted((ROOT / "examples").glob("*.*g")):
        picture = apply_exif_orientation(load(path))
        if picture.mode not in ("L", "RGB", "RGBA"):
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        picture = Image.fromarray(np.asarray(picture))  # without EXIF data, which would turn it again
        assert difference(library, picture) <= 1, path
        found = prepare(library, picture)
        if found.code == OK:
            assert recognizer.predict(found.image).digit == recognizer.predict(path).digit


def test_what_is_seen_beside_the_digit_is_told(library: ctypes.CDLL) -> None:
    page = np.full((200, 300), 30, np.uint8)
    page[60:140, 40:50] = 240
    page[60:140, 200:212] = 240
    found = prepare(library, page)
    assert (found.code, found.other_digits, found.light_on_dark) == (OK, 1, True)
    assert found.box == (200, 60, 212, 140)
    assert prepare(library, np.full((50, 60), 128, np.uint8)).code == NO_DIGIT
    assert prepare(library, scattered()).code == NO_DIGIT


def test_the_box_of_a_picture_as_mnists_is_the_whole(library: ctypes.CDLL, test_data: Split) -> None:
    digit = np.rint(255 * test_data.images[0, 0].numpy()).astype(np.uint8)
    for picture, light in ((digit, True), (255 - digit, False)):
        found = prepare(library, picture)
        assert (found.code, found.box, found.light_on_dark) == (OK, (0, 0, 28, 28), light)
    assert "the whole picture where that already is as MNIST's are" in c_header("mnist/3")


def test_arguments_that_are_out_of_range_are_refused(library: ctypes.CDLL) -> None:
    page = np.zeros((40, 50), np.uint8)
    assert prepare(library, page, less=1).code == BAD_ARGUMENT
    assert prepare(library, np.zeros((40, 50, 2), np.uint8)).code == BAD_ARGUMENT
    for width, height in ((0, 5), (5, 0), (-1, 5), (32_768, 1), (1, 2**31 - 1)):
        assert library.mnist_v3_workspace_bytes(width, height) == 0
    assert library.mnist_v3_prepare(page.ctypes.data, 50, 40, 1, None, 1 << 30, None, None) == BAD_ARGUMENT


@pytest.mark.parametrize(
    ("constant", "value"), [("WINDOW_SHARE", "0.2"), ("MIN_STROKE_INK", "0.5"), ("MAX_STROKE_WIDTH", "3.0")]
)
def test_a_changed_constant_shows(constant: str, value: str, test_data: Split, tmp_path: Path) -> None:
    source, changes = re.subn(rf"(#define MNIST_V3_{constant}) \S+", rf"\1 {value}", c_header("mnist/3"))
    assert changes == 1
    changed = build(tmp_path, source=source)
    images = np.rint(255 * test_data.images[:, 0].numpy()).astype(np.uint8)
    assert any(difference(changed, picture) > 1 for picture in photographs(images, 40, 0))


COMPILERS = {
    "g++": (("g++", "-std=c++11"), "cpp"),
    "clang": ((*zig(), "-target", "x86_64-freestanding", "-ffreestanding", "-std=c99"), "c"),
    "clang++": ((*zig()[:-1], "c++", "-target", "x86_64-freestanding", "-ffreestanding", "-std=c++11"), "cpp"),
    "wasm": ((*zig(), "-target", "wasm32-freestanding", "-std=c99"), "c"),
}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_it_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    command, suffix = COMPILERS[compiler]
    (tmp_path / "mnist_v3.h").write_text(c_header("mnist/3"))
    (tmp_path / f"a.{suffix}").write_text('#define MNIST_V3_IMPLEMENTATION\n#include "mnist_v3.h"\n')
    compile_c([*command, *WARNINGS, "-O2", "-c", "-o", "a.o", f"a.{suffix}"], tmp_path)


SANITIZED = """
#define MNIST_V3_IMPLEMENTATION
#include "mnist_v3.h"
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    uint32_t size[3];
    unsigned found[3] = {0, 0, 0};
    while (fread(size, sizeof size[0], 3, stdin) == 3) {
        size_t bytes = (size_t)size[0] * size[1] * size[2];
        size_t needed = mnist_v3_workspace_bytes((int)size[0], (int)size[1]);
        uint8_t *pixels = (uint8_t *)malloc(bytes), image[MNIST_V3_PIXELS];
        void *workspace = malloc(needed);
        mnist_v3_info info;
        if (fread(pixels, 1, bytes, stdin) != bytes) { return 1; }
        found[mnist_v3_prepare(pixels, (int)size[0], (int)size[1], (int)size[2], workspace, needed, image, &info)]++;
        free(pixels);
        free(workspace);
    }
    printf("%u %u %u\\n", found[0], found[1], found[2]);
    return 0;
}
"""


@pytest.mark.slow
def test_no_picture_gives_undefined_behavior(test_data: Split, tmp_path: Path) -> None:
    (tmp_path / "mnist_v3.h").write_text(c_header("mnist/3"))
    (tmp_path / "main.c").write_text(SANITIZED)
    flags = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    compile_c([*host_compiler(), *flags, "-o", "main", "main.c"], tmp_path)
    images = np.rint(255 * test_data.images[:, 0].numpy()).astype(np.uint8)
    pictures = [*photographs(images, 50, 7), *noise(200, 7), *drawn(8, 7), scattered()]
    generator = np.random.default_rng(8)
    thin = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in ((1, 3_000), (3_000, 1), (14, 800))]
    data = b""
    for picture in (*pictures, *thin):
        pixels = np.ascontiguousarray(picture)
        height, width = pixels.shape[:2]
        data += np.array([width, height, 1 if pixels.ndim == 2 else pixels.shape[2]], np.uint32).tobytes()
        data += pixels.tobytes()
    done = subprocess.run([str(tmp_path / "main")], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    ok, no_digit, bad = map(int, done.stdout.split())
    assert bad == 0
    assert ok + no_digit == len(pictures) + len(thin)
    assert ok >= 150


AS_A_NETWORK = """
#ifndef NET_H
#define NET_H
#define NET_PIXELS {pixels}
#define NET_LABELS MNIST_V3_PIXELS
typedef struct {{ uint32_t words[{words}]; uint8_t image[MNIST_V3_PIXELS]; }} net_workspace;
static void net_logits(net_workspace *workspace, const uint8_t *pixels, float *values)
{{
    int i, code = mnist_v3_prepare(
        pixels, {width}, {height}, 1, workspace->words, sizeof workspace->words, workspace->image, 0);
    for (i = 0; i < MNIST_V3_PIXELS; i++) {{ values[i] = code ? -1.0f : (float)workspace->image[i]; }}
}}
#endif
"""


@pytest.mark.slow
def test_a_board_with_a_camera_gives_the_same_bytes(library: ctypes.CDLL) -> None:
    """A picture of 160×120, as the firmware of the tests of headers runs a network, with 256 kB of RAM."""
    photograph = load(ROOT / "examples" / "three.jpg").convert("L").resize((120, 120))
    frame = Image.new("L", (160, 120), 200)
    frame.paste(photograph, (20, 0))
    width, height = frame.size
    words = -(-library.mnist_v3_workspace_bytes(width, height) // 4)
    source = c_header("mnist/3").replace("MNIST_V3_IMPLEMENTATION", "NET_IMPLEMENTATION")
    target = TARGETS["cortex-m4"]
    linked = firmware(
        source + AS_A_NETWORK.format(pixels=width * height, width=width, height=height, words=words),
        "net",
        dataclasses.replace(target, soft_floats=True),  # doubles are computed by the compiler's library
        ("-std=c99", "-O2", "-ffp-contract=off"),
    )
    device = Emulator(target, read_elf(linked))
    found = device.run(np.ascontiguousarray(frame).ravel(), 784)
    assert np.array_equal(found.reshape(28, 28), prepare(library, frame).image)
    assert 4 * words < 256_000
    assert device.stack_bytes() < 8_192
    taken = device.counting()
    device.run(np.ascontiguousarray(frame).ravel(), 784)
    assert taken() < 80_000_000
