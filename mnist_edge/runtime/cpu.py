"""What this processor is, as far as it decides which kernels onnxruntime takes."""

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists the processor's features."""

_X86 = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "AMX": {"amx_int8"},
}
"""Features by the flags of which one is enough. Without VNNI, x86 adds byte products in 16 bits, which saturate."""

_ARM = {"NEON": {"asimd", "neon"}, "dot-product": {"asimddp"}, "I8MM": {"i8mm"}, "SVE": {"sve"}}


def cpu_features(cpuinfo: Path = CPUINFO, machine: str | None = None) -> dict[str, bool] | None:
    """Return which of the features that matter this processor has, or None where the system does not say.

    Args:
        cpuinfo: the file in which Linux lists them.
        machine: the architecture; None asks the system.
    """
    kinds = _ARM if (machine or platform.machine()).lower().startswith(("arm", "aarch")) else _X86
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    if not found:
        return None
    flags = set(found[1].split())
    return {name: bool(flags & any_of) for name, any_of in kinds.items()}


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Return what the processor is called, or its architecture where the system does not say.

    Args:
        cpuinfo: the file in which Linux names it.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model)\s*:\s*(\S.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
