"""A processor in this process: unicorn runs a program that was linked for it, instruction by instruction."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import unicorn
from unicorn import arm64_const, arm_const, riscv_const, x86_const

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.c.elf import Image
from mnist_edge.formats.c.targets import Target
from mnist_edge.types import AnyArray

RETURN = 0x1000
"""Where the program returns to, which ends it: in the flash, since a Cortex-M executes nothing above 0x40000000."""

RAM = 0x20000000
STACK_BYTES = 1 << 20
"""Most stack that a program may use."""

_PATTERN = 0xA5
_PAGE = 0x1000
_CONSTANTS: dict[str, Any] = {
    name: value
    for module in (unicorn.unicorn_const, arm_const, arm64_const, riscv_const, x86_const)
    for name, value in vars(module).items()
}
_REGISTERS = {
    "UC_ARCH_ARM": ("UC_ARM_REG_SP", "UC_ARM_REG_LR"),
    "UC_ARCH_ARM64": ("UC_ARM64_REG_SP", "UC_ARM64_REG_LR"),
    "UC_ARCH_RISCV": ("UC_RISCV_REG_SP", "UC_RISCV_REG_RA"),
    "UC_ARCH_X86": ("UC_X86_REG_RSP", ""),
}
"""Stack pointer, and the register with the address that a function returns to, which on x86 is on the stack."""


class Emulator:
    """A processor with a program in its memory."""

    def __init__(self, target: Target, program: Image) -> None:
        """Load a program, and turn the floating-point unit on."""
        self._target, self._program = target, program
        mode = sum(_CONSTANTS[name] for name in target.modes)
        self._cpu: Any = unicorn.Uc(_CONSTANTS[target.architecture], mode)
        if target.model:
            self._cpu.ctl_set_cpu_model(_CONSTANTS[target.model])
        ends = [address + len(data) for address, data in program.segments]
        used = _pages(max([RAM, *ends]) - RAM)
        self._stack = RAM + used
        self._cpu.mem_map(0, _pages(max(end for end in ends if end < RAM)))
        self._cpu.mem_map(RAM, used + STACK_BYTES)
        for address, data in program.segments:
            self._cpu.mem_write(address, data)
        self._cpu.mem_write(self._stack, bytes([_PATTERN]) * STACK_BYTES)
        self._enable_floats()

    def _enable_floats(self) -> None:
        if self._target.architecture == "UC_ARCH_ARM64":
            self._cpu.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 0x300000)
        elif self._target.architecture == "UC_ARCH_ARM" and not self._target.soft_floats:
            if "UC_MODE_MCLASS" not in self._target.modes:
                self._cpu.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)
            self._cpu.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)

    def run(self, pixels: AnyArray, labels: int) -> AnyArray:
        """Return the logits, float32 `[classes]`, of an image, uint8; raises `ArtifactError` where it fails."""
        symbols = self._program.symbols
        self._cpu.mem_write(symbols["image"], pixels.tobytes())
        stack, link = _REGISTERS[self._target.architecture]
        top = self._stack + STACK_BYTES - 64
        thumb = "UC_MODE_THUMB" in self._target.modes
        if link:
            self._cpu.reg_write(_CONSTANTS[link], RETURN | thumb)
        else:
            top -= 8
            self._cpu.mem_write(top, RETURN.to_bytes(8, "little"))
        self._cpu.reg_write(_CONSTANTS[stack], top)
        try:
            self._cpu.emu_start(symbols["_start"] | thumb, RETURN)
        except unicorn.UcError as error:
            raise ArtifactError(f"the emulated {self._target.title} stopped: {error}") from error
        return np.frombuffer(bytes(self._cpu.mem_read(symbols["logits"], 4 * labels)), np.float32).copy()

    def stack_bytes(self) -> int:
        """Return how many bytes of the stack were used so far."""
        memory = np.frombuffer(bytes(self._cpu.mem_read(self._stack, STACK_BYTES)), np.uint8)
        changed = np.flatnonzero(memory != _PATTERN)
        return int(STACK_BYTES - 64 - changed[0]) if len(changed) else 0

    def counting(self) -> Callable[[], int]:
        """Count instructions from now on, which takes time; return what tells how many there were since last asked."""
        total = 0
        if self._target.instructions == "any":

            def one(*_: object) -> None:
                nonlocal total
                total += 1

            self._cpu.hook_add(unicorn.UC_HOOK_CODE, one)
        else:

            @cache
            def count(address: int, size: int) -> int:
                return _instructions(bytes(self._cpu.mem_read(address, size)), self._target.instructions)

            def block(_: object, address: int, size: int, __: object) -> None:
                nonlocal total
                total += count(address, size)

            self._cpu.hook_add(unicorn.UC_HOOK_BLOCK, block)

        self._cpu.ctl_flush_tb()  # what was translated before has no hooks

        def taken() -> int:
            nonlocal total
            total, result = 0, total
            return result

        return taken


def _instructions(code: bytes, kind: str) -> int:
    """Return how many instructions there are in code without a jump into the middle of it."""
    if kind == "words":
        return len(code) // 4
    count, place = 0, 0
    while place < len(code):
        half = int.from_bytes(code[place : place + 2], "little")
        # Arm Architecture Reference Manual, A5.1 (Thumb); The RISC-V Instruction Set Manual, volume 1, 1.5.
        long = half >> 11 in (0b11101, 0b11110, 0b11111) if kind == "thumb" else half & 3 == 3
        place += 4 if long else 2
        count += 1
    return count


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
