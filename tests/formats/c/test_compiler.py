"""The C compiler that is found, and what is said where there is none."""

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.c import compiler
from mnist_edge.formats.registry import FORMATS
from tests.formats.c.networks import exported, made


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Hide programs, and these packages."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    genuine = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else genuine(name))


def test_cc_is_taken_before_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    assert Path(compiler.host_compiler()[0]).name == "cc"
    monkeypatch.setenv("CC", "gcc -fwrapv")
    assert (Path(compiler.host_compiler()[0]).name, compiler.host_compiler()[1:]) == ("gcc", ("-fwrapv",))
    without(monkeypatch)
    assert compiler.host_compiler() == (sys.executable, "-m", "ziglang", "cc")


def test_no_compiler_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = made("linear")
    bundle = exported(model, images, quantized=True)
    without(monkeypatch, "ziglang")
    spec = FORMATS["c"]
    assert spec.missing_to_run() == ["cc or ziglang"]
    with pytest.raises(UserError, match=r"cannot run c: cc or ziglang not installed; pip install 'mnist-edge\[mcu\]'"):
        spec.open(bundle)
    with pytest.raises(ArtifactError, match=r"install one as cc, or pip install 'mnist-edge\[mcu\]'"):
        compiler.host_compiler()


def test_what_a_compiler_says_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return x; }\n")
    with pytest.raises(ArtifactError, match=r"cc cannot compile it .*error: .*x.*") as caught:
        compiler.compile_c(["cc", "a.c"], tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError, match="no-such-compiler could not be run"):
        compiler.compile_c(["no-such-compiler"], tmp_path)


def test_a_library_that_can_not_be_removed_is_loaded_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows removes none that is loaded."""
    unlink = os.unlink

    def refuse_library(path: str, *, dir_fd: int | None = None) -> None:
        if path.endswith("net.so"):
            raise PermissionError(5, "Access is denied")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(compiler, "template", lambda _: "int net_answer(void) { return 42; }\n")
    monkeypatch.setattr(os, "unlink", refuse_library)
    library = compiler.host_library("/* of a test */", "own")
    assert library.own_answer() == 42
    assert [path.name for path in tmp_path.glob("*/*")] == ["net.so"]
