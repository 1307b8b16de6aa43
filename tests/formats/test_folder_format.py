"""A format with a fixed batch, a folder, a sidecar, no readable weights and no intermediates goes all the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import mnist_edge
from mnist_edge.artifact.bundle import SIDECAR
from mnist_edge.cli import main
from mnist_edge.errors import UserError
from mnist_edge.exporting.inspect_file import describe
from mnist_edge.formats.registry import FORMATS, format_of, open_artifact, read_artifact
from mnist_edge.parity.logits import top2_margin
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify, verify_path
from mnist_edge.runtime.selfcheck import selfcheck_path
from tests.conftest import DATA, RELEASED, ROOT
from tests.formats.folder_format import FOLDER
from tests.parity.unjudged import unjudged


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry in the registry is all that a format needs."""
    monkeypatch.setitem(FORMATS, FOLDER.name, FOLDER)


@pytest.fixture
def path(reference: Reference, tmp_path: Path) -> Path:
    (artifact,) = mnist_edge.export(reference, formats=["folder"], output=tmp_path / "exports")
    assert artifact.report
    assert artifact.contract.batch == 1
    return artifact.path


def test_export_writes_a_folder_with_one_digest(path: Path) -> None:
    assert path.name == "mnist-mlp_folder"
    assert format_of(path) is FOLDER
    assert sorted(entry.name for entry in path.iterdir()) == [
        *(f"{number}.{part}.npy" for number in range(3) for part in ("bias", "weight")),
        SIDECAR,
    ]
    (entry,) = json.loads((path.parent / "manifest.json").read_text())["artifacts"]
    assert (entry["file"], entry["sha256"]) == (path.name, read_artifact(path).bundle.digest)


def test_verify_passes_and_says_what_is_not_available(path: Path, reference: Reference) -> None:
    report = verify_path(path, reference, layers=True)
    assert report, report.problems
    assert FOLDER.max_images is not None
    assert 0.9 * FOLDER.max_images <= report.images <= FOLDER.max_images
    assert [comparison.batch for comparison in report.comparisons] == [1]
    for code in ("weights", "batch_invariance"):
        check = report.check(code)
        assert check is not None
        assert check.verdict == "not available"
    assert report.layers is None
    assert report.layers_unavailable_reason == "folder does not show the values between layers"


def test_the_answers_that_change_in_a_sample_are_named_by_their_own_images(reference: Reference) -> None:
    other = reference.checkpoint.build()
    with torch.no_grad():
        other.get_parameter("fc3.bias")[3] += 3
    report = verify(unjudged(FOLDER, reference, model=other), reference)
    assert report.statistics is not None
    changed = report.statistics.changed
    assert max(answer.image for answer in changed) > report.images
    for answer in changed:
        assert answer.exported == 3
        assert answer.label == reference.labels[answer.image]
        assert answer.trained == reference.logits[answer.image].argmax()
        assert answer.margin == top2_margin(reference.logits[answer.image : answer.image + 1])[0]


@pytest.mark.slow
def test_the_commands_take_it(path: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    data = ["--data-dir", str(DATA)]
    for command in (
        ["verify", str(path), "--checkpoint", str(RELEASED), "--html", str(page), "--junit", str(tmp_path / "r.xml")],
        ["evaluate", str(path)],
    ):
        done = CliRunner().invoke(main, [*command, *data])
        assert done.exit_code == 0, done.output
    assert "folder does not show them" in page.read_text(encoding="utf-8")
    assert selfcheck_path(path)
    assert describe(path)["contract"]["batch"] == 1
    answer = mnist_edge.Recognizer(path).predict(ROOT / "examples" / "two.png")
    assert answer.digit == 2


def test_a_changed_or_missing_file_of_the_folder_is_found(path: Path, reference: Reference) -> None:
    weights = path / "1.weight.npy"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    failed = {check.code for check in verify_path(path, reference).checks if not check}
    assert {"manifest", "checksum"} <= failed
    with pytest.raises(UserError, match="altered since it was exported"):
        open_artifact(read_artifact(path))
    (path / SIDECAR).unlink()
    with pytest.raises(UserError, match=r"no metadata\.json beside it"):
        open_artifact(read_artifact(path))


def test_exporting_again_replaces_the_folder_whole(path: Path, reference: Reference) -> None:
    before = read_artifact(path).bundle.digest
    (path / "leftover.txt").write_text("of an older version")
    mnist_edge.export(reference, formats=["folder"], output=path.parent)
    assert read_artifact(path).bundle.digest == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["manifest.json", path.name]


def test_a_folder_that_holds_nothing_is_one_line(tmp_path: Path, reference: Reference) -> None:
    empty = tmp_path / "a_folder"
    empty.mkdir()
    with pytest.raises(UserError, match="it holds 0 files"):
        read_artifact(empty)
    shutil.rmtree(empty)
    report = verify_path(empty, reference)
    assert [check.code for check in report.checks] == ["readable"]
    assert np.isclose(report.reference_accuracy, reference.accuracy)
