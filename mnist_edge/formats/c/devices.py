"""A header on the processors of `targets`: compiled by zig, run by an emulator, measured."""

import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.c.compiler import compile_c, named, template, zig
from mnist_edge.formats.c.elf import read_elf
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import to_bytes
from mnist_edge.formats.c.targets import TARGETS, Target
from mnist_edge.formats.c.writer import write
from mnist_edge.formats.device_run import FirmwareRun
from mnist_edge.types import AnyArray, Images

COUNTED_IMAGES = 30
"""Images, evenly spread, whose instructions are counted, which takes as long as thousands that are not."""

STEPPED_IMAGES = 3
"""The same where each instruction is counted by itself, which takes as long as tens of thousands."""

FLAGS = ("-std=c99", "-O2")
"""How a header is compiled for a target, besides what the target needs."""

_LINKED = ("-g0", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-unwind-tables")
_SECTIONS = ("-fno-asynchronous-unwind-tables", "-fno-sanitize=undefined", "-Wl,--gc-sections")
_WASM = ("-Wl,--no-entry", "-Wl,--export=__stack_pointer", "-Wl,--export=__data_end")


class Device(Protocol):
    """A program in the memory of a processor."""

    def run(self, pixels: AnyArray, labels: int) -> AnyArray:
        """Return the logits of an image."""
        ...

    def stack_bytes(self) -> int:
        """Return how many bytes of the stack were used so far."""
        ...

    def counting(self) -> Callable[[], int]:
        """Return what tells how many instructions there were since it was last asked."""
        ...


def unavailable() -> str:
    """Return why nothing can be run on these devices here, and how to mend that; empty where it can."""
    missing = [package for package in ("ziglang", "unicorn", "wasmtime") if find_spec(package) is None]
    return f"{', '.join(missing)} not installed; pip install 'mnist-edge[mcu]'" if missing else ""


def run_on(bundle: Bundle, name: str, images: Images, flags: tuple[str, ...] = FLAGS) -> FirmwareRun:
    """Run a header on a target.

    Args:
        bundle: the header.
        name: a key of `TARGETS`.
        images: float32 `[N, channels, height, width]`, given as the bytes of a camera.
        flags: for the compiler.

    Raises:
        ArtifactError: it is not a header of mnist-edge, can't be compiled, or stops.
        UserError: a package that this needs is not installed.
    """
    if reason := unavailable():
        raise UserError(f"cannot emulate {name}: {reason}")
    header, target = read(bundle), TARGETS[name]
    program = firmware(write(header), header.prefix, target, flags)
    device, sizes = _load(program, target)
    pixels = to_bytes(images, header.network.input_step)
    logits = np.stack([device.run(image, header.labels) for image in pixels])
    stack = device.stack_bytes()
    few = STEPPED_IMAGES if target.instructions == "any" else COUNTED_IMAGES
    counts = _counted(device, pixels[np.unique(np.linspace(0, len(pixels) - 1, few).astype(int))], header)
    return FirmwareRun(
        target=name,
        title=target.title,
        tools=" ".join([f"zig cc {_zig_version()}", *flags, *target.flags]),
        logits=logits,
        code=sizes[0],
        constants=sizes[1],
        variables=sizes[2],
        stack=stack,
        counted=len(counts),
        instructions=(min(counts), int(np.median(counts)), max(counts)),
    )


def _counted(device: Device, pixels: AnyArray, header: Header) -> list[int]:
    """Return the instructions that each image takes."""
    taken, counts = device.counting(), []
    for image in pixels:
        device.run(image, header.labels)
        counts.append(taken())
    return counts


def _load(program: bytes, target: Target) -> tuple[Device, tuple[int, int, int]]:
    """Return a program in a device, with the bytes of its code, its constants and its variables."""
    if not target.architecture:
        from mnist_edge.formats.c.wasm import WasmProgram, section_sizes

        module = WasmProgram(program)
        code, constants = section_sizes(program)
        return module, (code, constants, module.variable_bytes(constants))
    from mnist_edge.formats.c.emulator import Emulator

    image = read_elf(program)
    return Emulator(target, image), (image.code, image.constants, image.variables)


@lru_cache(maxsize=16)
def firmware(header: str, prefix: str, target: Target, flags: tuple[str, ...] = FLAGS) -> bytes:
    """Return a program that computes the logits of one image, linked for a target; raises `ArtifactError`."""
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name:
        folder = Path(name)
        (folder / "net.h").write_text(header, encoding="utf-8")
        (folder / "firmware.c").write_text(named(template("firmware.c"), prefix), encoding="utf-8")
        (folder / "builtins.h").write_text(template("builtins.h"), encoding="utf-8")
        (folder / "firmware.ld").write_text(template("firmware.ld"), encoding="utf-8")
        linked = _WASM if not target.architecture else ("-Wl,-T,firmware.ld",)
        runtime = () if target.soft_floats else ("-nostdlib",)
        command = [*zig(), *target.flags, *flags, *_LINKED, *_SECTIONS, *runtime, *linked, "-o", "net", "firmware.c"]
        compile_c(command, folder)
        return (folder / "net").read_bytes()


@lru_cache(maxsize=1)
def _zig_version() -> str:
    command = [*zig()[:-1], "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - zig's own command
    if done.returncode:
        raise ArtifactError("zig does not say its version")
    return done.stdout.strip()
