"""A board with a Cortex-M in this process: its memory map, started as its reset does."""

from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm_const

from mnist_edge.formats.c.elf import Image, read_elf

SYSTEM = 0xE000E000
"""System control space, which unicorn does not have: what a program writes there is kept."""

MOST = 50_000_000
"""Instructions after which a program that has not come to its end never will."""


class Board:
    """A program on a board, run until it comes to a symbol."""

    def __init__(self, elf: Path, flash: range, ram: range, model: int) -> None:
        self.program: Image = read_elf(elf.read_bytes())
        self.cpu: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(model)
        for memory in (flash, ram, range(SYSTEM, SYSTEM + 0x1000)):
            self.cpu.mem_map(memory.start, len(memory))
        loaded = [(address, data) for address, data in self.program.segments if address in flash]
        for address, data in loaded:
            assert address + len(data) <= flash.stop
            self.cpu.mem_write(address, data)
        if model != arm_const.UC_CPU_ARM_CORTEX_M0:
            self.cpu.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        vectors = self.cpu.mem_read(self.program.symbols["vectors"], 8)
        self.stack, self.start = (int.from_bytes(vectors[place : place + 4], "little") for place in (0, 4))
        assert ram.start < self.stack <= ram.stop

    def run(self, until: str) -> None:
        end = self.program.symbols[until] & ~1
        self.cpu.reg_write(arm_const.UC_ARM_REG_SP, self.stack)
        self.cpu.emu_start(self.start, end, count=MOST)
        assert self.cpu.reg_read(arm_const.UC_ARM_REG_PC) == end

    def read(self, symbol: str, size: int) -> bytes:
        return bytes(self.cpu.mem_read(self.program.symbols[symbol], size))
