import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artefact
from mnist_edge.parity.comparison import TOLERANCES, Comparison, Reference, compare, round_up, shortfalls
from mnist_edge.parity.verify import verify
from tests.damage import edits


def test_what_was_exported_passes(exported: list[Artefact], reference: Reference) -> None:
    for artefact in exported:
        assert verify(artefact.path, reference), artefact.path


@pytest.fixture
def alone(tmp_path: Path, exports: Path) -> Callable[[str], Path]:
    """Copies an exported file to a folder without a manifest."""

    def copy(name: str) -> Path:
        return Path(shutil.copy(exports / name, tmp_path))

    return copy


@pytest.mark.parametrize("name", ["mnist-mlp.onnx", "mnist-mlp-int8.onnx", "mnist-mlp.pt", "mnist-mlp-int8.pt"])
@pytest.mark.parametrize("where", [0.001, 0.1, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_one_flipped_bit_is_found(
    name: str, where: float, bit: int, alone: Callable[[str], Path], reference: Reference
) -> None:
    path = alone(name)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= bit
    path.write_bytes(data)
    assert not verify(path, reference)


@pytest.mark.parametrize("name", ["mnist-mlp.onnx", "mnist-mlp.pt"])
def test_a_truncated_file_is_found(name: str, alone: Callable[[str], Path], reference: Reference) -> None:
    path = alone(name)
    path.write_bytes(path.read_bytes()[:-1000])
    assert not verify(path, reference)


FORGERIES = {
    "one weight": (damage.change_weight, r"largest \|Δlogit\|"),
    "another opset": (damage.set_opset, "opset 19"),
    "other labels": (damage.set_contract(labels=list("1234567890")), "labels is"),
    "inverted polarity": (damage.set_contract(polarity="black-on-white"), "polarity is"),
    "another range": (damage.set_contract(input_range=[0, 255]), "input_range is"),
    "another checkpoint": (damage.set_contract(checkpoint="0" * 64), "checkpoint is"),
    "a softer temperature": (damage.set_contract(temperature=2.0), "temperature is"),
    "a precision that does not exist": (damage.set_contract(precision="int2"), "precision is 'int2'"),
    "a precision with a wider tolerance": (damage.set_contract(precision="int8"), "weights are fp32"),
    "a contract of the future": (damage.set_contract(version=99), "version 99"),
    "a contract with an unknown promise": (damage.set_contract(colour="blue"), "contract is damaged"),
    "no contract": (damage.drop_contract, "carries no mnist-edge contract"),
    "a dropped ReLU": (damage.drop_relu, r"largest \|Δlogit\|"),
    "a logit that is not a number": (damage.infinite_bias, "not finite"),
    "a frozen batch": (damage.freeze_batch, "graph's input is"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_file_altered_and_sealed_anew_is_found(name: str, alone: Callable[[str], Path], reference: Reference) -> None:
    edit, message = FORGERIES[name]
    path = alone("mnist-mlp.onnx")
    path.write_bytes(damage.resealed(path.read_bytes(), edit))
    report = verify(path, reference)
    assert not report
    assert any(re.search(message, problem) for problem in report.problems), report.problems


def test_the_manifest_tells_another_file_under_the_same_name(
    exports: Path, reference: Reference, tmp_path: Path
) -> None:
    for name in ("manifest.json", "mnist-mlp.onnx"):
        shutil.copy(exports / name, tmp_path)
    path = tmp_path / "mnist-mlp.onnx"
    path.write_bytes(damage.resealed(path.read_bytes(), damage.set_contract(producer={"mnist-edge": "9.9.9"})))
    assert any("SHA-256 is not the one in" in problem for problem in verify(path, reference).problems)


def test_the_wrong_reference_is_found(exported: list[Artefact], reference: Reference) -> None:
    weights = {name: tensor * 1.01 for name, tensor in reference.checkpoint.weights.items()}
    checkpoint = dataclasses.replace(reference.checkpoint, weights=weights, file_digest=None)
    other = dataclasses.replace(reference, checkpoint=checkpoint)
    report = verify(exported[0].path, other)
    assert any("checkpoint is" in problem for problem in report.problems)


def test_files_that_are_no_artefacts(tmp_path: Path, reference: Reference) -> None:
    for suffix in (".onnx", ".pt"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"not a model")
        report = verify(path, reference)
        assert not report
        assert report.max_error is report.agreement is report.accuracy is None
        assert any("cannot load it" in problem for problem in report.problems)
    with pytest.raises(UserError, match="No such file"):
        verify(tmp_path / "missing.onnx", reference)


def test_the_report_keeps_its_numbers(exported: list[Artefact], reference: Reference) -> None:
    report = verify(exported[0].path, reference)
    as_json = report.to_json()
    assert as_json["passed"]
    assert as_json["reference_accuracy"] == reference.accuracy
    assert [c["batch"] for c in as_json["comparisons"]] == [1, 7, 1000]
    assert report.max_error == max(c["max_error"] for c in as_json["comparisons"])
    assert report.max_error is not None
    assert 0 < report.max_error <= 1e-4


def test_compare_counts(reference: Reference) -> None:
    logits = reference.logits.copy()
    logits[:25] = np.roll(logits[:25], 1, axis=1)
    logits[30] += 0.5
    result = compare(reference, logits, 7)
    changed = np.abs(logits - reference.logits)
    assert result.batch == 7
    assert result.max_error == pytest.approx(changed.max())
    assert result.mean_error == pytest.approx(changed.mean(), rel=1e-5)
    assert result.agreement == 1 - 25 / 10_000


@given(st.floats(1e-12, 1e12))
def test_the_tolerance_that_would_have_passed_would_have_passed(error: float) -> None:
    suggested = float(f"{round_up(error):.3g}")
    assert error <= suggested <= error * 1.011


def test_shortfalls_give_figures_and_the_tolerance_that_would_have_passed() -> None:
    comparison = Comparison(batch=1, max_error=0.01234, mean_error=0.001, agreement=0.9971, accuracy=0.9701, images=9)
    lines = shortfalls(comparison, TOLERANCES["fp32"], reference_accuracy=0.9785)
    assert lines == [
        "largest |Δlogit| is 0.0123 at batch 1, allowed 0.0001 (0.0124 would have passed)",
        "99.71% of the answers are the same at batch 1, required 100.00% (99.71% would have passed)",
        "accuracy is 0.84 points lower at batch 1, allowed 0.00 (0.84 would have passed)",
    ]
    within = Comparison(batch=1, max_error=9.0, mean_error=1.0, agreement=0.998, accuracy=0.9775, images=9)
    assert shortfalls(within, TOLERANCES["int8"], reference_accuracy=0.9785) == []
    assert len(shortfalls(dataclasses.replace(within, agreement=0.9979), TOLERANCES["int8"], 0.9786)) == 2
