"""Exports that go wrong: nothing bad may be left, and what was there must stay."""

import dataclasses
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import ParityError, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import Reference
from tests import warm
from tests.conftest import DATA, RELEASED
from tests.damage import edits
from tests.damage.edits import sabotage

ONNX, TORCHSCRIPT = FORMATS["onnx"], FORMATS["torchscript"]

Snapshot = dict[str, bytes]


@pytest.fixture
def folder(tmp_path: Path, exports: Path) -> Path:
    """A folder of exports with an earlier, good ONNX file and its manifest."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for name in ("mnist-mlp.onnx", "manifest.json"):
        (folder / name).write_bytes((exports / name).read_bytes())
    return folder


def snapshot(folder: Path) -> Snapshot:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


Sabotage = Callable[[pytest.MonkeyPatch], FormatSpec]
"""Spoils an exporter for the length of a test; returns the format that has it."""


def perturbed(spec: FormatSpec) -> Sabotage:
    def spoil(patch: pytest.MonkeyPatch) -> FormatSpec:
        sabotage(patch, spec, prepare=edits.perturb_a_weight)
        return spec

    return spoil


def edited(edit: edits.Edit) -> Sabotage:
    def spoil(patch: pytest.MonkeyPatch) -> FormatSpec:
        sabotage(patch, ONNX, spoil=edit)
        return ONNX

    return spoil


def frozen_torchscript(patch: pytest.MonkeyPatch) -> FormatSpec:
    sabotage(patch, TORCHSCRIPT, prepare=edits.FrozenBatch)
    return TORCHSCRIPT


def saturating(_: pytest.MonkeyPatch) -> FormatSpec:
    """onnxruntime's own default, `QInt8`, as the only way to quantize."""
    scheme = ONNX.scheme("dynamic-s8")
    assert scheme is not None
    return dataclasses.replace(ONNX, schemes=(scheme,))


SABOTAGES: dict[str, tuple[Sabotage, Precision, str]] = {
    "a perturbed weight, onnx": (perturbed(ONNX), Precision.FP32, r"largest \|Δlogit\|"),
    "a perturbed weight, torchscript": (
        perturbed(TORCHSCRIPT),
        Precision.FP32,
        r"largest \|Δlogit\| is 0\.\d+ at batch 1, allowed 0\.0001 \(0\.\d+ would have passed\)",
    ),
    "another opset": (edited(edits.set_opset), Precision.FP32, "graph is of opset 19, its contract says 18"),
    "a frozen batch, onnx": (edited(edits.freeze_batch), Precision.FP32, "graph's input is"),
    "a frozen batch, torchscript": (frozen_torchscript, Precision.FP32, "cannot run a batch of 7"),
    "saturating weights": (saturating, Precision.INT8, "saturate on x86 CPUs without VNNI"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotaged_export_leaves_nothing(
    name: str, folder: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, precision, message = SABOTAGES[name]
    spec, before = spoil(monkeypatch), snapshot(folder)
    fresh = dataclasses.replace(reference, programs=dict(reference.programs))
    with pytest.raises(UserError, match=message) as caught:
        export_artifacts(fresh, ExportSettings([spec], [precision]), folder)
    assert "\n" not in str(caught.value)
    assert snapshot(folder) == before


@pytest.mark.slow
def test_one_bad_export_among_good_ones_writes_none(
    folder: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(folder)
    sabotage(monkeypatch, TORCHSCRIPT, prepare=edits.perturb_a_weight)
    fresh = dataclasses.replace(reference, programs=dict(reference.programs))
    with pytest.raises(ParityError):
        export_artifacts(fresh, ExportSettings([ONNX, TORCHSCRIPT]), folder)
    assert snapshot(folder) == before


def run_export(folder: Path, prelude: str = "", file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mnist-edge export` in a process of its own, after `prelude`."""
    arguments = ["export", str(RELEASED), "--format", "onnx", "--output", str(folder), "--data-dir", str(DATA)]

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [*warm.PYTHON, "-c", f"{prelude}\nfrom mnist_edge.cli import main\nmain({arguments!r})"],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )


@pytest.mark.slow
def test_a_disk_that_takes_no_more_leaves_nothing(folder: Path) -> None:
    before = snapshot(folder)
    done = run_export(folder, file_limit=200_000)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: cannot write {folder / 'mnist-mlp.onnx'}: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert snapshot(folder) == before


@pytest.mark.slow
def test_a_kill_between_write_and_rename_leaves_what_was_there(folder: Path) -> None:
    before = snapshot(folder)
    done = run_export(folder, "import os, signal\nos.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    after = snapshot(folder)
    assert {name: data for name, data in after.items() if not name.startswith(".")} == before
    assert all(name.endswith(".tmp") for name in set(after) - set(before))

    done = run_export(folder)
    assert done.returncode == 0, done.stderr
    assert snapshot(folder)["mnist-mlp.onnx"] == before["mnist-mlp.onnx"]
