"""Exports that go wrong: nothing bad may be left, and what was there must stay."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import ParityError, export
from mnist_edge.formats.base import Format
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference
from mnist_edge.formats.torchscript.exporter import TORCHSCRIPT
from tests.conftest import DATA, RELEASED
from tests.damage import edits

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


SABOTAGES: dict[str, tuple[Callable[[], Format], str, str]] = {
    "a perturbed weight, onnx": (lambda: damage.with_a_perturbed_weight(ONNX), "fp32", r"largest \|Δlogit\|"),
    "a perturbed weight, torchscript": (
        lambda: damage.with_a_perturbed_weight(TORCHSCRIPT),
        "fp32",
        r"largest \|Δlogit\| is 0\.\d+ at batch 1, allowed 0\.0001 \(0\.\d+ would have passed\)",
    ),
    "another opset": (damage.with_another_opset, "fp32", "graph is of opset 19, its contract says 18"),
    "a frozen batch, onnx": (lambda: damage.with_a_frozen_batch(ONNX), "fp32", "graph's input is"),
    "a frozen batch, torchscript": (
        lambda: damage.with_a_frozen_batch(TORCHSCRIPT),
        "fp32",
        "cannot run a batch of 7",
    ),
    "saturating weights": (damage.with_saturating_weights, "int8", "saturate on x86 CPUs without VNNI"),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotaged_export_leaves_nothing(name: str, folder: Path, reference: Reference) -> None:
    make, precision, message = SABOTAGES[name]
    before = snapshot(folder)
    with pytest.raises(UserError, match=message) as caught:
        export(reference, [make()], [precision], folder)
    assert "\n" not in str(caught.value)
    assert snapshot(folder) == before


def test_one_bad_export_among_good_ones_writes_none(folder: Path, reference: Reference) -> None:
    before = snapshot(folder)
    with pytest.raises(ParityError):
        export(reference, [ONNX, damage.with_a_perturbed_weight(TORCHSCRIPT)], ["fp32", "int8"], folder)
    assert snapshot(folder) == before


def run_export(folder: Path, prelude: str = "", file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mnist-edge export` in a process of its own, after `prelude`."""
    arguments = ["export", str(RELEASED), "--format", "onnx", "--output", str(folder), "--data-dir", str(DATA)]

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [sys.executable, "-c", f"{prelude}\nfrom mnist_edge.cli import main\nmain({arguments!r})"],
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
