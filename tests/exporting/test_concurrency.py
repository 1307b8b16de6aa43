"""Exports into one folder at once, and readers beside them."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mnist_edge import atomic
from mnist_edge.artifact.bundle import Bundle, read_bundle
from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER, sha256
from mnist_edge.artifact.manifest import MANIFEST, manifest_bytes, read_manifest
from mnist_edge.atomic import transaction
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS
from mnist_edge.locks import locked
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.recognizer import Recognizer
from tests import warm
from tests.conftest import DATA, RELEASED, ROOT
from tests.formats.folder_format import FOLDER

TWO = str(ROOT / "examples" / "two.png")

EXPORTS = 20
"""Exports beside which something is read."""

EXPORTER = """
import dataclasses, sys
from pathlib import Path
from mnist_edge.exporting.pipeline import export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import make_reference
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets.registry import load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split
from tests.formats.folder_format import FOLDER

checkpoint, data, output, number = sys.argv[1:]
test = load_test_data("mnist", Path(data))
few = Split(test.images[:50], test.labels[:50])
reference = make_reference(load_checkpoint(Path(checkpoint)), few, load_training_data("mnist", Path(data)))
spec = dataclasses.replace(FOLDER, name=f"folder{number}", suffix=f"_{number}_folder")
for _ in range(4):
    export_artifacts(reference, ExportSettings([spec, FOLDER]), Path(output))
"""


@pytest.mark.slow
def test_exports_by_several_processes_lose_no_entry(tmp_path: Path) -> None:
    """Three processes export four times each: one artifact of their own, and one that all of them write."""
    output = tmp_path / "exports"
    runs = [
        subprocess.Popen([*warm.PYTHON, "-c", EXPORTER, str(RELEASED), str(DATA), str(output), str(number)], cwd=ROOT)
        for number in range(3)
    ]
    while any(run.poll() is None for run in runs):
        if not output.exists():
            continue
        with locked(output, shared=True):
            for entry in read_manifest(output):
                assert read_bundle(output / entry["file"], folder=True, sidecar=False).digest == entry["sha256"]
    assert [run.returncode for run in runs] == [0] * 3
    entries = read_manifest(output)
    names = {f"mnist-mlp_{number}_folder" for number in range(3)} | {"mnist-mlp_folder"}
    assert {entry["file"] for entry in entries} == names
    assert len(entries) == 4
    assert {path.name for path in output.iterdir()} == {*names, MANIFEST}


@contextmanager
def repeated(export: Callable[[int], None]) -> Iterator[threading.Thread]:
    """Export again and again, and wait for the end after the block, which reads meanwhile."""
    export(0)

    def work() -> None:
        for turn in range(1, EXPORTS):
            export(turn)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield writer
    finally:
        writer.join()


def test_reading_pictures_beside_exports_gives_right_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = atomic._Change.apply

    def apply_slowly(change: atomic._Change) -> None:
        apply(change)
        time.sleep(0.01)  # so that somebody reads between two renames

    monkeypatch.setattr(atomic._Change, "apply", apply_slowly)

    def export(turn: int) -> None:
        data = list(BUILTIN_MODELS.values())[turn % 2].read_bytes()
        entry = {"file": "mnist-mlp.onnx", "format": "onnx", "sha256": sha256(data)}
        with locked(tmp_path), transaction() as changes:
            changes.write(tmp_path / "mnist-mlp.onnx", data)
            changes.write(tmp_path / MANIFEST, manifest_bytes([entry]))

    with repeated(export) as writer:
        while writer.is_alive():
            assert Recognizer(tmp_path / "mnist-mlp.onnx").predict(TWO).digit == 2


def test_a_folder_that_is_replaced_is_read_as_the_old_or_the_new_one(tmp_path: Path) -> None:
    metadata = {CHECKSUM_KEY: CHECKSUM_PLACEHOLDER}
    versions = [
        Bundle({f"{number}.npy": bytes([turn]) * 1000 for number in range(turn, turn + 9)}, folder=True)
        .with_sidecar(metadata)
        .with_checksum()
        for turn in range(2)
    ]

    def export(turn: int) -> None:
        with locked(tmp_path), transaction() as changes:
            versions[turn % 2].write(tmp_path / "model", changes)

    with repeated(export) as writer:
        while writer.is_alive():
            assert read_bundle(tmp_path / "model", folder=True, sidecar=False) in versions


@pytest.mark.parametrize("obstacle", ["folder in the way", "manifest is a folder", "damaged manifest", "file"])
def test_what_is_in_the_way_is_found_before_the_work(
    obstacle: str, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "exports"
    if obstacle == "file":
        output.write_bytes(b"")
    else:
        output.mkdir()
    if obstacle == "folder in the way":
        (output / "mnist-mlp.onnx").mkdir()
    elif obstacle == "manifest is a folder":
        (output / MANIFEST).mkdir()
    elif obstacle == "damaged manifest":
        (output / MANIFEST).write_text("{}")
    monkeypatch.setattr("mnist_edge.exporting.pipeline._export_format", lambda *_: pytest.fail("it began to work"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"cannot (write|understand)"):
        export_artifacts(reference, ExportSettings([FORMATS["onnx"]]), output)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_manifest_of_a_folder_that_did_not_exist_is_written(reference: Reference, tmp_path: Path) -> None:
    few = reference.sample(100)
    (artifact,) = export_artifacts(few, ExportSettings([FOLDER]), tmp_path / "new" / "exports")
    (entry,) = json.loads((artifact.path.parent / MANIFEST).read_text())["artifacts"]
    assert entry["sha256"] == artifact.sha256
    assert np.isfinite(artifact.report.reference_accuracy)


@pytest.mark.parametrize("renames", range(4))
def test_a_kill_between_two_renames_leaves_no_file_that_is_not_listed(
    renames: int, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced by another one; whatever the last rename was, its digest is in the manifest."""
    monkeypatch.setitem(FORMATS, FOLDER.name, FOLDER)
    few, settings = reference.sample(100), ExportSettings([FOLDER])
    (first,) = export_artifacts(few, settings, tmp_path)
    monkeypatch.setattr("mnist_edge.__version__", "another")  # which the contract names

    class Killed(BaseException):
        pass

    done: list[Path] = []
    apply = atomic._Change.apply

    def apply_some(change: atomic._Change) -> None:
        if len(done) == renames:
            raise Killed
        apply(change)
        done.append(change.target)

    monkeypatch.setattr(atomic._Change, "apply", apply_some)
    monkeypatch.setattr(atomic._Change, "undo", lambda _: None)
    monkeypatch.setattr("mnist_edge.exporting.pipeline.atomic_write", atomic_write_once())
    with contextlib.suppress(Killed):
        export_artifacts(few, settings, tmp_path)
    listed = [entry["sha256"] for entry in read_manifest(tmp_path)]
    assert len(listed) == (2 if 0 < renames < 3 else 1)
    found = read_bundle(first.path, folder=True, sidecar=False).digest
    assert found in listed
    assert (found == first.sha256) == (renames < 2)


def atomic_write_once() -> Callable[[Path, bytes], None]:
    """Return `atomic_write` that does nothing the second time, as after a kill."""
    calls: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) == 1:
            atomic.atomic_write(path, data)

    return write


def test_an_export_that_fails_leaves_the_manifest_as_it_was(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, FOLDER.name, FOLDER)
    few, settings = reference.sample(100), ExportSettings([FOLDER])
    (first,) = export_artifacts(few, settings, tmp_path)
    before = (tmp_path / MANIFEST).read_bytes()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(atomic, "put_folder", refuse)
    with pytest.raises(UserError, match="Operation not permitted"):
        export_artifacts(few, settings, tmp_path)
    assert (tmp_path / MANIFEST).read_bytes() == before
    assert read_bundle(first.path, folder=True, sidecar=False).digest == first.sha256
