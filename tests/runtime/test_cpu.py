from pathlib import Path

import pytest

from mnist_edge.runtime.cpu import cpu_features

CPUINFO = {
    "x86_64": ("flags\t\t: fpu avx avx2 avx_vnni sse", {"AVX2": True, "AVX-512": False, "VNNI": True, "AMX": False}),
    "AMD64": ("flags : avx2 avx512f", {"AVX2": True, "AVX-512": True, "VNNI": False, "AMX": False}),
    "aarch64": (
        "processor: 0\nFeatures\t: fp asimd asimddp",
        {"NEON": True, "dot-product": True, "I8MM": False, "SVE": False},
    ),
    "armv7l": ("Features : half neon", {"NEON": True, "dot-product": False, "I8MM": False, "SVE": False}),
}


@pytest.mark.parametrize("machine", CPUINFO)
def test_the_features_are_read_from_what_linux_lists(machine: str, tmp_path: Path) -> None:
    text, expected = CPUINFO[machine]
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_features(tmp_path / "cpuinfo", machine) == expected


def test_features_that_are_not_listed_are_unknown(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "missing") is None
    (tmp_path / "cpuinfo").write_text("nothing")
    assert cpu_features(tmp_path / "cpuinfo") is None
