"""The examples for C, Arduino and bare metal: built as their pages say, and run on the memory map of a board."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from unicorn import arm_const

from mnist_edge.cli import main
from mnist_edge.formats.c.compiler import compile_c, zig
from mnist_edge.formats.c.elf import read_elf
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference
from mnist_edge.preprocessing.decode import load
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.runtime.prediction import Status
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.datasets.splits import Split
from tests.board import Board
from tests.conftest import ROOT
from tests.parity.unjudged import unjudged

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def header(reference: Reference) -> bytes:
    """The header that the pages export."""
    return unjudged(FORMATS["c"], reference, "static-u8-channel").bundle.data


def copied(name: str, folder: Path, header: bytes, place: str = ".") -> Path:
    """Return a copy of an example with the header where its page puts it."""
    target = folder / name
    shutil.copytree(EXAMPLES / name, target)
    (target / place / "mnist-mlp-int8.h").write_bytes(header)
    return target


def command_of(folder: Path, start: str) -> list[str]:
    """Return a command of the example's page that begins so."""
    page = (folder / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(rf"^    ({re.escape(start)}.*)$", page, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.slow
def test_the_c_example_reads_pictures(header: bytes, test_data: Split, tmp_path: Path) -> None:
    folder = copied("c", tmp_path, header)
    written = command_of(folder, "mnist-edge preprocessing")
    assert CliRunner().invoke(main, [*written[1:-1], str(folder / written[-1])]).exit_code == 0
    command = command_of(folder, "cc ")
    compile_c([*command, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"], folder)
    for index in range(4):
        pixels = (test_data.images[index, 0].numpy() * 255).round().astype(np.uint8)
        (folder / "picture.pgm").write_bytes(b"P5\n# by a program\n#\n28 28\n255\n" + pixels.tobytes())
        done = subprocess.run(["./digit", "picture.pgm"], cwd=folder, capture_output=True, text=True, check=True)
        assert re.fullmatch(rf"{test_data.labels[index]} \d+\.\d%\n", done.stdout)
    recognizer = Recognizer(folder / "mnist-mlp-int8.h")
    for name in ("three.jpg", "seven.png", "four.jpg"):
        picture = apply_exif_orientation(load(EXAMPLES / name)).convert("RGB")
        picture.save(folder / "picture.ppm")
        done = subprocess.run(["./digit", "picture.ppm"], cwd=folder, capture_output=True, text=True, check=True)
        answer = recognizer.predict(folder / "picture.ppm")
        uncertain = "" if answer.status is Status.OK else " (uncertain)"
        assert done.stdout == f"{answer.digit} {100 * (answer.confidence or 0):.1f}%{uncertain}\n"
    (folder / "picture.pgm").write_bytes(b"P5\n30 40\n255\n" + bytes(1_200))
    done = subprocess.run(["./digit", "picture.pgm"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "no digit in the picture\n")
    (folder / "picture.pgm").write_bytes(b"P5\n28 28\n255\n" + bytes(783))
    done = subprocess.run(["./digit", "picture.pgm"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")


def test_the_bare_metal_example_runs_in_its_boards_memory(header: bytes, tmp_path: Path) -> None:
    folder = copied("cortex-m", tmp_path, header)
    command = command_of(folder, "python -m ziglang cc")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    compile_c([sys.executable, *command[1:], *warnings], folder)
    image = read_elf((folder / "firmware.elf").read_bytes())
    assert image.code + image.constants <= 128 << 10
    assert image.variables <= 4_000
    board = Board(
        folder / "firmware.elf",
        flash=range(0x08000000, 0x08020000),
        ram=range(0x20000000, 0x20004000),
        model=arm_const.UC_CPU_ARM_CORTEX_M4,
    )
    board.run(until="stopped")
    failed, digit, percent, certain = np.frombuffer(board.read("outcome", 16), np.int32).tolist()
    assert (failed, digit, certain) == (0, 1, 1)
    assert percent >= 90


ARDUINO_H = """
#pragma once
#include <stddef.h>
#include <stdint.h>
struct Port {
  void begin(long) {}
  int available();
  int read();
  void print(const char *text);
  void println(const char *text);
};
extern Port Serial;
"""

CORE = """
#include "Arduino.h"
#include "ReadDigit.ino"
extern "C" {
uint8_t sent[784];
char answers[200];
int taken, written;
extern uint32_t stack_top;
void reset(void);
__attribute__((noinline)) void stopped(void);
void reset(void) { setup(); loop(); stopped(); }
void stopped(void) { for (;;) { __asm__ volatile("nop"); } }
__attribute__((section(".vectors"), used)) extern const void *const vectors[2] = {&stack_top, (const void *)reset};
void *memset(void *to, int value, size_t n) {
  for (size_t i = 0; i < n; ++i) ((volatile char *)to)[i] = (char)value;
  return to;
}
}
Port Serial;
int Port::available() { return 784 - taken; }
int Port::read() { return sent[taken++]; }
void Port::print(const char *text) { while (*text) answers[written++] = *text++; }
void Port::println(const char *text) { print(text); answers[written++] = 10; }
"""


@pytest.mark.slow
def test_the_sketch_answers_on_an_arduino_zero(header: bytes, test_data: Split, tmp_path: Path) -> None:
    """Its core is a stand-in: a serial port that takes its bytes from memory."""
    folder = copied("arduino", tmp_path, header, "src")
    (folder / "Arduino.h").write_text(ARDUINO_H)
    (folder / "core.cpp").write_text(CORE)
    board_ld = (EXAMPLES / "cortex-m" / "board.ld").read_text(encoding="utf-8")
    # A SAMD21G18: 256 kB of flash, the first 8 of them the boot loader's, and 32 kB of RAM.
    board_ld = board_ld.replace("0x08000000, LENGTH = 128K", "0x00002000, LENGTH = 248K").replace("16K", "32K")
    (folder / "zero.ld").write_text(board_ld)
    target = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus", "-O2", "-g0", "-ffreestanding"]
    plain = ["-std=c++11", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-Wl,-T,zero.ld"]
    sources = ["-I.", "-Isrc", "-Iexamples/ReadDigit", "core.cpp", "src/MnistEdge.cpp"]
    compile_c([*zig(), *target, *plain, "-o", "sketch.elf", *sources], folder)
    board = Board(
        folder / "sketch.elf",
        flash=range(0x2000, 0x40000),
        ram=range(0x20000000, 0x20008000),
        model=arm_const.UC_CPU_ARM_CORTEX_M0,
    )
    pixels = (test_data.images[0, 0].numpy() * 255).round().astype(np.uint8)
    board.cpu.mem_write(board.program.symbols["sent"], pixels.tobytes())
    board.run(until="stopped")
    assert board.read("answers", 8).rstrip(b"\0") == b"ready\n%d\n" % test_data.labels[0]
