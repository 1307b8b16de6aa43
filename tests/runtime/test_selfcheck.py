import shutil
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.runtime.builtin_models import BUILT_INS
from mnist_edge.runtime.cpu import cpu_features
from mnist_edge.runtime.selfcheck import selfcheck
from tests.damage import edits


@pytest.mark.parametrize("name", BUILT_INS)
def test_the_built_in_models_pass_here(name: str) -> None:
    check = selfcheck(BUILT_INS[name])
    assert check
    assert check.images == 25
    assert check.max_error <= 1e-3
    assert check.same == 25
    assert 1e-3 < check.trained_error < 1.0
    assert check.to_json()["passed"]


def test_a_dropped_relu_is_found(exports: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    path.write_bytes(damage.resealed(path.read_bytes(), damage.drop_relu))
    check = selfcheck(path)
    assert not check
    assert check.max_error > check.bound


def test_a_logit_that_is_not_a_number_is_found(exports: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    path.write_bytes(damage.resealed(path.read_bytes(), damage.infinite_bias))
    check = selfcheck(path)
    assert not check
    assert check.to_json()["max_error"] is None


def test_a_file_that_cannot_be_checked_is_one_line(exports: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path))
    path.write_bytes(damage.resealed(path.read_bytes(), damage.drop_golden))
    with pytest.raises(UserError, match="carries no golden vectors"):
        selfcheck(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot use"):
        selfcheck(path)
    with pytest.raises(UserError, match="it is a TorchScript archive"):
        selfcheck(exports / "mnist-mlp.pt")


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
def test_the_features_are_read_from_what_linux_tells(machine: str, tmp_path: Path) -> None:
    text, expected = CPUINFO[machine]
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_features(tmp_path / "cpuinfo", machine) == expected


def test_features_that_no_one_tells_are_unknown(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "missing") is None
    (tmp_path / "cpuinfo").write_text("nothing")
    assert cpu_features(tmp_path / "cpuinfo") is None
