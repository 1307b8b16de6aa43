"""The system calls that a child of the sandbox may make; Linux refuses all others (`seccomp(2)`).

What is listed computes, takes and returns memory, starts threads, and reads and writes what is open already. Nothing on
the list takes the name of a file or an address of the network, or acts on another process.
"""

import ctypes
import errno
import platform
import struct

CALL_NUMBERS = {"x86_64": 0, "aarch64": 1}
"""Which of the numbers of `_ALLOWED` a processor has."""

_ARCHITECTURES = (0xC000003E, 0xC00000B7)  # linux/audit.h

_ALLOWED = {
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "read": (0, 63),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "uname": (63, 160),
    "write": (1, 64),
    "writev": (20, 66),
}
"""Numbers by name (`asm/unistd_64.h`), -1 where a processor does not have the call."""

_CLONE = (56, 220)
_CLONE3 = 435
_CLONE_THREAD = 0x00010000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, linux/seccomp.h
_LOAD, _IF_EQUAL, _IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict_system_calls() -> bool:
    """Let this process make the system calls of the list alone, for good; others fail with `EPERM`.

    Returns:
        Whether the system offers that: the processor is known here, and the kernel has filters.
    """
    index = CALL_NUMBERS.get(platform.machine())
    if index is None or struct.calcsize("P") != 8:  # a 32-bit program makes other calls
        return False
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _filter(index))
    library = ctypes.CDLL(None)
    none = ctypes.c_ulong(0)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), none, none, none) != 0:
        return False
    structure = _Program(len(program) // 8, program)
    filtered = library.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(structure), none, none)
    return bool(filtered == 0)


def _filter(index: int) -> list[tuple[int, int, int, int]]:
    """Return the instructions for a processor: code, how many to skip if true and if false, value."""
    refuse = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    numbers = [numbers[index] for numbers in _ALLOWED.values() if numbers[index] >= 0]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _ARCHITECTURES[index]),
        refuse,
        (_LOAD, 0, 0, _NUMBER),
        *(step for number in numbers for step in ((_IF_EQUAL, 0, 1, number), allow)),
        (_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),  # whose flags a filter can't see: the C library then takes clone
        (_IF_EQUAL, 1, 0, _CLONE[index]),
        refuse,
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_SET, 0, 1, _CLONE_THREAD),
        allow,
        refuse,
    ]
