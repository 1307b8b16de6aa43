"""The verdict on a file: what passes, what each kind of alteration is found by, and what a user reads."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import mnist_edge
from mnist_edge.artifact.manifest import MANIFEST, manifest_bytes
from mnist_edge.errors import ChecksumError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.parity.logits import largest_logit
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.parity.statistics import divergence
from mnist_edge.parity.tolerance import Goals
from mnist_edge.parity.verify import verify, verify_path
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.damage import catalog, edits
from tests.damage.edits import tampered
from tests.formats.folder_format import FOLDER
from tests.parity.networks import reference_of
from tests.parity.unjudged import unjudged

LEAST_SQNR = {"fp32": 120, "fp16": 60, "int8": 30, "int4": 15}
"""In dB, by precision."""


def problems_of(report: ParityReport, code: str) -> str:
    """Return what a check found, in lines."""
    check = report.check(code)
    assert check is not None
    return "\n".join(check.problems)


@pytest.fixture
def alone(tmp_path: Path, exports: Path) -> Callable[[str], Path]:
    """Copies an exported file to a folder without a manifest."""

    def copy(name: str) -> Path:
        source = exports / name
        return Path(shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path))

    return copy


def largest_file(artifact: Path) -> Path:
    """Return the artifact, or of a folder the largest file."""
    return max(artifact.iterdir(), key=lambda path: path.stat().st_size) if artifact.is_dir() else artifact


@pytest.mark.slow
def test_any_flipped_bit_is_found_by_the_checksum(exported: list[Artifact]) -> None:
    for artifact in exported:
        bundle = read_artifact(artifact.path).bundle
        for name, data in bundle.files.items():
            for where in (0.001, 0.1, 0.5, 0.9, 0.9999, *np.linspace(0, 0.99999, 25)):
                for bit in (0x01, 0x80):
                    flipped = bytearray(data)
                    flipped[int(where * len(data))] ^= bit
                    with pytest.raises(ChecksumError):
                        dataclasses.replace(bundle, files={**bundle.files, name: bytes(flipped)}).verify_checksum()


@pytest.mark.slow
def test_a_file_with_a_flipped_bit_fails_by_its_checksum(
    exported: list[Artifact], alone: Callable[[str], Path], reference: Reference
) -> None:
    for artifact in exported:
        path = alone(artifact.path.name)
        data = bytearray(largest_file(path).read_bytes())
        data[len(data) // 10] ^= 1
        largest_file(path).write_bytes(data)
        report = verify_path(path, reference.sample())
        assert not report
        assert problems_of(report, "checksum") == "it was altered since it was exported"


@pytest.mark.slow
def test_a_truncated_file_is_found(
    exported: list[Artifact], alone: Callable[[str], Path], reference: Reference
) -> None:
    for artifact in exported:
        path = alone(artifact.path.name)
        damaged = largest_file(path)
        damaged.write_bytes(damaged.read_bytes()[:-1000])
        report = verify_path(path, reference.sample())
        assert not report
        assert report.check("checksum") in [check for check in report.checks if not check]


MESSAGES = {
    "one weight": r"largest \|Δlogit\| is 0\.\d+ at batch 1000, allowed 0\.0001 \(0\.\d+ would have passed\)",
    "another opset": "the graph is of opset 19, its contract says 18",
    "labels in another order": "labels is",
    "inverted polarity in the contract": "polarity is 'black-on-white', expected 'white-on-black'",
    "another range in the contract": "range is",
    "another checkpoint": "the file says sha256:000000000000",
    "another temperature": r"temperature is 3\.0, expected ",
    "a precision that does not exist": "precision is 'int2'",
    "a precision with a wider tolerance": "weights are fp32, its contract says int8",
    "a scheme that does not exist": "its scheme is 'int2', expected one of none",
    "a contract of another version": "version 99, expected 3",
    "a contract with an unknown promise": "contract is not understood here .*color",
    "no contract": "carries no mnist-edge contract",
    "no test vectors": "carries no test vectors",
    "test vectors of other labels": "of other images than its checkpoint's: export again",
    "test vectors with a wider bound": r"test vectors allow 100, expected 0\.0001",
    "the first ReLU dropped": r"largest \|Δlogit\| is .* would have passed",
    "a logit that is not a number": "some logits are not finite at batch 1000",
    "a frozen batch": "the graph's input is",
}
"""What a user reads of the damage in the catalog."""


@pytest.mark.parametrize("name", MESSAGES)
def test_what_was_altered_is_said(name: str, alone: Callable[[str], Path], reference: Reference) -> None:
    damage = catalog.CATALOG[name]
    path = alone(damage.file)
    path.write_bytes(damage.alter(path.read_bytes(), reference))
    report = verify_path(path, reference.sample())
    assert not report
    assert any(re.search(MESSAGES[name], problem) for problem in report.problems), report.problems


def test_the_manifest_finds_another_file_under_the_same_name(
    exports: Path, reference: Reference, tmp_path: Path
) -> None:
    for name in ("manifest.json", "mnist-mlp.onnx"):
        shutil.copy(exports / name, tmp_path)
    path = tmp_path / "mnist-mlp.onnx"
    assert verify_path(path, reference.sample()).check("manifest")
    other = edits.set_contract("producer", {"mnist-edge": "9.9.9"})
    path.write_bytes(tampered(path.read_bytes(), other))
    report = verify_path(path, reference.sample())
    assert [check.code for check in report.checks if not check] == ["manifest"]
    assert "SHA-256 is not the one in" in problems_of(report, "manifest")


@pytest.mark.parametrize(
    ("listed", "passes"), [("this", True), ("this other", True), ("other this", True), ("other other", False)]
)
def test_a_file_that_the_manifest_lists_twice_is_as_either_entry_says(
    listed: str, passes: bool, reference: Reference, tmp_path: Path
) -> None:
    """As it is after an export that was killed."""
    path = tmp_path / "a.npz"
    path.write_bytes(b"not a model")
    digests = {"this": read_artifact(path).bundle.digest, "other": "0" * 64}
    entries = [{"file": path.name, "format": "numpy", "sha256": digests[name]} for name in listed.split()]
    (tmp_path / MANIFEST).write_bytes(manifest_bytes(entries))
    check = verify_path(path, reference).check("manifest")
    assert check is not None
    assert bool(check) == passes


def test_a_file_that_the_manifest_does_not_list_is_not_held_to_it(
    exports: Path, reference: Reference, tmp_path: Path
) -> None:
    shutil.copy(exports / "manifest.json", tmp_path)
    path = Path(shutil.copy(exports / "mnist-mlp.onnx", tmp_path / "renamed.onnx"))
    report = verify_path(path, reference.sample())
    assert report
    assert report.check("manifest") is None


@pytest.mark.slow
def test_the_wrong_reference_is_found(exported: list[Artifact], reference: Reference) -> None:
    weights = {name: tensor * 1.01 for name, tensor in reference.checkpoint.weights.items()}
    checkpoint = dataclasses.replace(reference.checkpoint, weights=weights, file_digest=None)
    other = dataclasses.replace(reference, checkpoint=checkpoint)
    for artifact in exported:
        report = verify_path(artifact.path, other, layers=True)
        made, given = reference.checkpoint.digest[:12], checkpoint.digest[:12]
        assert report.problems == (
            f"made from another checkpoint: the file says sha256:{made} (mnist-mlp), given is sha256:{given} "
            "(mnist-mlp); name the right one with --checkpoint",
        )
        assert [check.code for check in report.checks] == ["manifest", "checksum", "checkpoint"]
        assert report.layers_unavailable_reason == ""


def test_files_that_are_not_artifacts(tmp_path: Path, reference: Reference) -> None:
    for spec in FORMATS.values():
        path = tmp_path / f"a{spec.suffix}"
        if spec.folder:
            path.mkdir()
        (path / "model" if spec.folder else path).write_bytes(b"not a model")
        report = verify_path(path, reference)
        assert not report
        assert report.max_abs_diff is report.agreement is report.accuracy is None
        assert re.fullmatch(".*(cannot load it|it is not an? |it has no metadata).*", problems_of(report, "loads"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing.onnx", "No such file"), ("a.txt", "cannot tell the format"), ("folder.pt", "folder")],
)
def test_what_cannot_be_read_fails_for_that_reason(
    name: str, problem: str, tmp_path: Path, reference: Reference
) -> None:
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "a.txt").write_bytes(b"text")
    report = verify_path(tmp_path / name, reference)
    assert not report
    assert [check.code for check in report.checks] == ["readable"]
    assert problem in problems_of(report, "readable") or "directory" in problems_of(report, "readable")
    assert (report.size, report.sha256, report.images) == (0, "", 10_000)


def test_a_package_that_running_needs_and_is_missing_fails_what_needs_it(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = reference.part(np.arange(20))
    (artifact,) = mnist_edge.export(few, formats=["numpy"], output=tmp_path)
    monkeypatch.setattr("mnist_edge.formats.base._no_package", lambda _: True)
    report = verify_path(artifact.path, few)
    assert [(check.code, bool(check)) for check in report.checks] == [
        ("manifest", True),
        ("checksum", True),
        ("loads", False),
    ]
    assert report.problems == ("cannot run numpy: numpy not installed; pip install mnist-edge",)
    assert (report.size, report.sha256) == (artifact.size, artifact.sha256)
    assert verify(read_artifact(artifact.path), few).problems == report.problems


def test_what_exporting_needs_and_is_missing_fails_the_program_alone(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = reference.part(np.arange(20))
    artifact = unjudged(FOLDER, few)
    monkeypatch.setattr(FormatSpec, "missing_to_export", lambda _: ["converter"])
    report = verify(artifact, dataclasses.replace(few, programs={}))
    assert [check.code for check in report.checks if not check] == ["program"]
    assert report.problems == (
        "its program can't be compared with what the exporter writes: cannot export to folder: converter not "
        "installed; pip install 'mnist-edge[export]'",
    )
    assert report.statistics is not None


@pytest.mark.parametrize("lacking", ["the exporter", "the artifact"])
def test_each_file_that_only_one_has_is_another_program(lacking: str, reference: Reference) -> None:
    few = dataclasses.replace(reference.part(np.arange(20)), programs={})
    artifact = unjudged(FOLDER, few)
    bundle = artifact.bundle
    if lacking == "the exporter":
        bundle = dataclasses.replace(bundle, files={**bundle.files, "more.txt": b"1"})
    else:
        ((key, program),) = few.programs.items()
        few.programs[key] = {**program, "more.txt": b"1"}
    report = verify(dataclasses.replace(artifact, bundle=bundle), few)
    assert "(more.txt differs)" in problems_of(report, "program")


def test_checkpoints_are_told_apart_by_each_digit_of_their_digests(reference: Reference) -> None:
    few = dataclasses.replace(reference.part(np.arange(20)), programs={})
    artifact = unjudged(FOLDER, few)
    digest = few.checkpoint.digest[:-1] + ("0" if few.checkpoint.digest[-1] != "0" else "1")
    other = dataclasses.replace(few, checkpoint=dataclasses.replace(few.checkpoint, file_digest=digest))
    assert other.checkpoint.digest == digest
    assert problems_of(verify(artifact, other), "checkpoint").startswith("made from another checkpoint")


def test_what_is_reported_and_recorded_are_the_answers_of_the_artifact(reference: Reference) -> None:
    checkpoint = dataclasses.replace(reference.checkpoint, temperature=2.0)
    few = dataclasses.replace(reference.part(np.arange(200)), checkpoint=checkpoint, programs={})
    model = checkpoint.build()
    with torch.no_grad():
        model.get_parameter("fc3.bias")[3] += 9
        logits = model(torch.from_numpy(few.images)).numpy()
    wrong = np.flatnonzero(logits.argmax(axis=1) != few.labels)
    assert len(wrong) > 10
    report = verify(unjudged(FOLDER, few, model=model), few)
    assert report.statistics is not None
    assert report.statistics.accuracy.hits == 200 - len(wrong)
    assert report.statistics.reference_accuracy.value == few.accuracy > 0.9
    assert report.statistics.mean_divergence == pytest.approx(divergence(few.logits, logits, 2.0).mean(), rel=1e-4)
    assert report.answers is not None
    assert report.answers.misread == tuple(wrong.tolist())


def test_answers_to_a_part_of_the_images_are_not_recorded(reference: Reference) -> None:
    """Another checkpoint's part is another one."""
    few = dataclasses.replace(reference.part(np.arange(60)), programs={})
    artifact = unjudged(FOLDER, few)
    assert verify(artifact, few).answers is not None
    part = dataclasses.replace(artifact, spec=dataclasses.replace(FOLDER, max_images=50))
    report = verify(part, few)
    assert report.images == report.comparisons[0].images <= 50
    assert report.answers is None


def test_the_report_keeps_its_numbers(reports: dict[str, ParityReport], reference: Reference) -> None:
    report = reports["mnist-mlp.onnx"]
    as_json = report.to_json()
    assert as_json["passed"]
    assert as_json["reference_accuracy"] == reference.accuracy
    assert [comparison["batch"] for comparison in as_json["comparisons"]] == [1, 7, 1000]
    assert report.max_abs_diff == max(comparison["max_abs_diff"] for comparison in as_json["comparisons"])
    assert report.max_abs_diff is not None
    assert 0 < report.max_abs_diff <= 1e-4


def test_what_was_exported_passes_with_figures_from_all_images(
    exported: list[Artifact], reports: dict[str, ParityReport], reference: Reference
) -> None:
    for artifact in exported:
        report = reports[artifact.path.name]
        assert report, report.problems
        found = report.statistics
        assert found is not None
        assert found.agreement.images == found.accuracy.images == 10_000
        assert found.reference_accuracy.value == reference.accuracy
        assert found.max_abs_diff >= found.p99_9_abs_diff >= found.mean_abs_diff
        assert len(found.changed) == 10_000 - found.agreement.hits
        assert found.sqnr > LEAST_SQNR[artifact.contract.precision]
        assert report.required is not None
        assert found.max_abs_diff <= report.required.max_abs_diff


def test_what_is_examined(exported: list[Artifact], reports: dict[str, ParityReport]) -> None:
    content = ["manifest", "checksum", "checkpoint", "contract", "structure", "weights", "test vectors", "program"]
    others = ["self-check", "shuffled batches", "synthetic inputs", "NaN and infinity"]
    for artifact in exported:
        report = reports[artifact.path.name]
        several = artifact.contract.precision != "int8" and artifact.contract.batch is None
        batches = ["batch 1", "batch 7", "batch 1,000"] if several else ["batch 1"]
        figures = ["figures"] if artifact.format == "page" else []
        assert [check.title for check in report.checks] == [*content, *batches, *others, *figures]
        assert all(comparison.images == 10_000 for comparison in report.comparisons)
        check = report.check("batch_invariance")
        assert check is not None
        assert ("of 10,000 change" in check.found) == (artifact.contract.batch is None)


def test_the_figures_are_those_of_the_export(exported: list[Artifact], reports: dict[str, ParityReport]) -> None:
    for artifact in exported:
        found, of_export = reports[artifact.path.name], artifact.report
        for again, before in zip(found.comparisons, of_export.comparisons, strict=True):
            # Sums are rounded by where arrays lie in memory, which is another place in another process.
            assert dataclasses.astuple(again) == pytest.approx(dataclasses.astuple(before), rel=0.1, abs=2e-5)
        assert found.statistics is not None
        assert found.statistics.max_abs_diff == found.max_abs_diff
        assert (found.agreement, found.accuracy) == (found.statistics.agreement.value, found.statistics.accuracy.value)


def test_what_a_file_may_differ_by_grows_with_logits_beyond_the_usual(
    reference: Reference, test_data: Split, training_data: TrainingData
) -> None:
    scale = 1_000 / largest_logit(reference.part(np.arange(20)).logits)
    last = {name: scale * reference.checkpoint.weights[name] for name in ("fc3.weight", "fc3.bias")}
    weights = {**reference.checkpoint.weights, **last}
    checkpoint = dataclasses.replace(reference.checkpoint, weights=weights, file_digest=None)
    validation = Split(training_data.validation.images[:100], training_data.validation.labels[:100])
    few = make_reference(
        checkpoint,
        Split(test_data.images[:20], test_data.labels[:20]),
        dataclasses.replace(training_data, validation=validation),
    )
    report = verify(unjudged(FOLDER, few), few)
    assert report, report.problems
    assert report.tolerance is not None
    assert report.tolerance.max_abs_diff == pytest.approx(2e-3)


def test_a_goal_passes_from_the_figure_on_that_would_have_passed(exports: Path, reference: Reference) -> None:
    artifact, few = read_artifact(exports / "mnist-mlp.onnx"), reference.sample()
    required = verify(artifact, few).required
    assert required is not None
    assert 0 < required.max_abs_diff < 1e-4
    assert verify(artifact, few, Goals(max_abs_diff=required.max_abs_diff))
    assert not verify(artifact, few, Goals(max_abs_diff=0.98 * required.max_abs_diff))
    assert not verify(artifact, few, Goals(max_abs_diff=0.0))


def test_goals_come_on_top_of_the_tolerance(exports: Path, reference: Reference) -> None:
    artifact = read_artifact(exports / "mnist-mlp.onnx")
    report = verify(artifact, reference.sample(), Goals(max_abs_diff=1e-9))
    assert {check.code for check in report.checks if not check} == {"batch_1", "batch_7", "batch_1000"}
    assert report.tolerance is not None
    assert report.tolerance.max_abs_diff == 1e-9


def test_layers_that_cannot_be_shown_are_said_why(
    exports: Path, broken: dict[str, ParityReport], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = reference.sample()
    frozen = verify_path(broken["frozen"].path, sample, layers=True)
    assert "onnxruntime cannot run a batch" in frozen.layers_unavailable_reason
    assert verify_path(broken["cut"].path, sample, layers=True).layers_unavailable_reason == "it cannot be run"
    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], intermediates=False))
    report = verify_path(exports / "mnist-mlp.onnx", sample, layers=True)
    assert report
    assert report.layers is None
    assert report.layers_unavailable_reason == "onnx does not show the values between layers"


@pytest.mark.slow
@pytest.mark.parametrize("network", ["residual", "normalized-residual"])
@pytest.mark.parametrize("format", [name for name, spec in FORMATS.items() if not spec.chains_only])
def test_a_network_that_is_not_a_chain_passes_without_layers(
    format: str,
    network: str,
    released: Checkpoint,
    test_data: Split,
    training_data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = reference_of(monkeypatch, network, released, test_data, training_data)
    spec = FORMATS[format]
    report = verify(unjudged(spec, reference), reference, layers=True)
    assert report, report.problems
    weights = report.check("weights")
    assert weights is not None
    assert (weights.found == "as expected") == spec.readable_weights
    assert report.layers is None
    expected = "not available for this network" if spec.intermediates else "does not show the values between layers"
    assert expected in report.layers_unavailable_reason


@pytest.mark.slow
def test_weights_of_a_network_that_cannot_be_traced_are_not_available(
    released: Checkpoint, test_data: Split, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = reference_of(monkeypatch, "untraceable", released, test_data, training_data)
    report = verify(unjudged(FORMATS["onnx"], reference), reference, layers=True)
    assert report, report.problems
    weights = report.check("weights")
    assert weights is not None
    assert weights.found == "this network can't be traced"
    assert weights.verdict == "not available"
    assert report.layers_unavailable_reason.startswith("not available for this network")


def test_int8_is_allowed_more_changes_where_the_trained_model_errs_more(exports: Path, reference: Reference) -> None:
    labels = np.where(np.arange(len(reference.labels)) % 10 == 0, (reference.labels + 1) % 10, reference.labels)
    worse = dataclasses.replace(reference, labels=labels).part(np.arange(1_000))
    report = verify_path(exports / "mnist-mlp-int8.h", worse)
    assert report.tolerance is not None
    assert report.tolerance.min_agreement == 1 - 0.05 * (1 - worse.accuracy) < 0.996
