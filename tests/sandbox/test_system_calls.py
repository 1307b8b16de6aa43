"""The filter decides as it should for both processors: computed here, as the kernel of only one can be asked."""

import errno
import importlib.util
import re
import struct
from pathlib import Path

import pytest

from mnist_edge.sandbox.system_calls import _ALLOWED, CALL_NUMBERS, _filter

ALLOWED = 0x7FFF0000
REFUSED = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS

THREAD = 0x003D0F00  # the flags that pthread_create gives to clone
FORK = 0x01200011

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

HARMFUL = (
    *("openat", "openat2", "socket", "connect", "execve", "execveat", "kill", "tgkill", "ptrace", "process_vm_readv"),
    *(
        "process_vm_writev",
        "unlinkat",
        "renameat2",
        "truncate",
        "linkat",
        "symlinkat",
        "mkdirat",
        "fchmodat",
        "fchownat",
    ),
    *("prlimit64", "setrlimit", "prctl", "fcntl", "io_uring_setup", "pidfd_open", "pidfd_send_signal", "mount", "bpf"),
    *("sendmsg", "recvmsg", "shmget", "keyctl", "sched_setaffinity", "setns", "unshare", "utimensat"),
)

for_each_processor = pytest.mark.parametrize("machine", CALL_NUMBERS)


def numbers(machine: str) -> dict[str, int]:
    """Return the numbers of the system calls in the headers that come with the C compiler."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        pytest.skip("the C compiler, whose headers have the numbers, is not installed")
    folder = {"x86_64": "x86-linux-any"}.get(machine, f"{machine}-linux-any")
    header = Path(found.origin).parent / "lib/libc/include" / folder / "asm/unistd_64.h"
    pairs = re.findall(r"^#define __NR_(\w+)\s+(\d+)$", header.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(number) for name, number in pairs}


def decision(machine: str, number: int, first: int = 0, architecture: int | None = None) -> int:
    """Run the filter on a call, as the kernel does."""
    data = struct.pack("<IIQQ", number, architecture or ARCHITECTURES[machine], 0, first)
    program, at, value = _filter(CALL_NUMBERS[machine]), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        else:
            at += if_true if (value == operand if code == 0x15 else value & operand) else if_false


@for_each_processor
def test_what_reaches_beyond_the_process_is_refused(machine: str) -> None:
    known = numbers(machine)
    assert {name for name in HARMFUL if decision(machine, known[name]) != REFUSED} == set()


@for_each_processor
def test_what_a_runtime_needs_is_allowed(machine: str) -> None:
    known = numbers(machine)
    needed = ("read", "write", "sendto", "recvfrom", "mmap", "munmap", "brk", "futex", "exit_group", "clock_gettime")
    assert {name for name in needed if decision(machine, known[name]) != ALLOWED} == set()


@for_each_processor
def test_threads_are_started_and_processes_are_not(machine: str) -> None:
    known = numbers(machine)
    assert decision(machine, known["clone"], THREAD) == ALLOWED
    assert decision(machine, known["clone"], FORK) == REFUSED
    assert decision(machine, known["clone3"]) == UNKNOWN  # the C library then takes clone


@for_each_processor
def test_calls_of_another_kind_of_program_are_refused(machine: str) -> None:
    known = numbers(machine)
    i386 = 0x40000003
    assert decision(machine, known["read"], architecture=i386) == REFUSED
    assert decision(machine, known["read"] | 0x40000000) == REFUSED  # x32


@for_each_processor
def test_the_list_has_the_numbers_of_the_headers(machine: str) -> None:
    known = numbers(machine)
    listed = {name: both[CALL_NUMBERS[machine]] for name, both in _ALLOWED.items()}
    assert listed == {name: known.get(name, -1) for name in _ALLOWED}
