"""What an ELF file that zig linked holds: segments to load, sizes of sections, addresses of symbols (ELF, 1.2)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4
_NOBITS, _SYMTAB, _LOAD = 8, 2, 1


@dataclass(frozen=True)
class Image:
    """A linked program.

    Attributes:
        segments: address and bytes of each part of the memory, zeros at the end included.
        symbols: address of each, by name.
        code: bytes of its instructions.
        constants: bytes of what is only read, and of what variables start with.
        variables: bytes of memory that it writes to, without the stack.
    """

    segments: tuple[tuple[int, bytes], ...]
    symbols: dict[str, int]
    code: int
    constants: int
    variables: int


def read_elf(data: bytes) -> Image:
    """Return what a program of 32 or 64 bits, little-endian, is made of."""
    wide = data[4] == 2
    layout = "<16xHHIQQQIHHHHHH" if wide else "<16xHHIIIIIHHHHHH"
    fields = struct.unpack_from(layout, data)
    program_offset, section_offset, _, _, program_size, programs, section_size, sections, _ = fields[4:]
    headers = [data[program_offset + index * program_size :][:program_size] for index in range(programs)]
    tables = [_section(data[section_offset + index * section_size :][:section_size], wide) for index in range(sections)]
    code = constants = variables = 0
    for kind, flags, _, _, size, _ in tables:
        if flags & _EXECUTE:
            code += size
        elif flags & _ALLOC:
            constants += 0 if kind == _NOBITS else size
            variables += size if flags & _WRITE else 0
    symbols = dict(_symbols(data, tables, wide))
    return Image(tuple(_segments(data, headers, wide)), symbols, code, constants, variables)


def _section(header: bytes, wide: bool) -> tuple[int, int, int, int, int, int]:
    """Return kind, flags, address, offset, size and link of a section."""
    _, kind, flags, address, offset, size, link = struct.unpack_from("<IIQQQQI" if wide else "<IIIIIII", header)
    return kind, flags, address, offset, size, link


def _segments(data: bytes, headers: list[bytes], wide: bool) -> Iterator[tuple[int, bytes]]:
    for header in headers:
        if wide:
            kind, _, offset, address, _, in_file, size = struct.unpack_from("<IIQQQQQ", header)
        else:
            kind, offset, address, _, in_file, size = struct.unpack_from("<IIIIII", header)
        if kind == _LOAD and size:
            yield address, data[offset : offset + in_file].ljust(size, b"\0")


def _symbols(data: bytes, tables: list[tuple[int, int, int, int, int, int]], wide: bool) -> Iterator[tuple[str, int]]:
    entry = 24 if wide else 16
    for kind, _, _, offset, size, link in tables:
        if kind != _SYMTAB:
            continue
        names = tables[link][3]
        for start in range(offset, offset + size, entry):
            name, value = struct.unpack_from("<I4xQ" if wide else "<II", data, start)
            text = data[names + name :]
            yield text[: text.index(b"\0")].decode(), value
