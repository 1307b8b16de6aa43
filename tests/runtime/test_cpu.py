import platform
from pathlib import Path

import pytest

from mnist_edge.runtime.cpu import cpu_features, processor_name

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


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel\t\t: 85\nmodel name\t: A Processor @ 2 GHz\n", "A Processor @ 2 GHz"),
        ("processor\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n", "Raspberry Pi 5 Model B Rev 1.0"),
    ],
)
def test_the_name_is_what_linux_says(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_name(tmp_path / "cpuinfo") == name


def test_without_a_name_it_is_the_architecture(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model\t: 85\n")
    for cpuinfo in (tmp_path / "cpuinfo", tmp_path / "missing"):
        assert processor_name(cpuinfo) in (platform.processor(), platform.machine())
