"""Every kind of damage is found: by `verify` all, on the device all that it can see without the checkpoint."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY, TestVectors
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS, format_of
from mnist_edge.formats.runner import Runner
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.runtime.selfcheck import selfcheck_path
from tests.damage.catalog import CATALOG, DYNAMIC, Damage
from tests.parity.unjudged import unjudged

ONNX = FORMATS["onnx"]

OF_ANSWERS = {
    *("structure", "batch_1", "batch_7", "batch_1000", "batch_sizes", "batch_invariance"),
    *("selfcheck", "synthetic_inputs", "nonfinite_inputs"),
}
"""Checks that fail by how much the damage moves the answers; `structure` computes those to the test vectors by the
definition of the operators. A catalog entry names those that must fail.
"""


def refused_on_the_device(path: Path) -> bool:
    """Say whether the device does not use a file, or finds that it gives other numbers than it must."""
    try:
        Recognizer(path)
        return not selfcheck_path(path)
    except UserError:
        return True


def moves_an_answer(data: bytes, vectors: TestVectors) -> bool:
    """Say whether a damaged file can't run, or gives a logit outside the bound of the test vectors it had."""
    try:
        with ONNX.open(Bundle.of_file(data)) as runner:
            logits = runner.predict_in_batches(vectors.inputs, 1)
    except ArtifactError:
        return True
    return not float(np.abs(logits - vectors.expected_logits).max()) <= vectors.bound


def test_there_are_many_kinds() -> None:
    assert len(CATALOG) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_damage_is_found(name: str, exports: Path, reference: Reference, tmp_path: Path) -> None:
    damage: Damage = CATALOG[name]
    if damage.file == DYNAMIC:
        original = unjudged(ONNX, reference, "dynamic-u8-channel").bundle.data
    else:
        original = (exports / damage.file).read_bytes()
    data = damage.alter(original, reference)
    assert data != original
    path = tmp_path / damage.file
    path.write_bytes(data)

    # A sample has the hardest images, of which an int8 file may answer fewer alike than its tolerance asks.
    report = verify_path(path, reference if "int8" in damage.file else reference.sample())
    assert not report
    failed = {check.code for check in report.checks if not check}
    assert damage.codes <= failed, report.problems
    assert failed - OF_ANSWERS == damage.codes - OF_ANSWERS, report.problems
    assert all("\n" not in problem for problem in report.problems)

    refused = refused_on_the_device(path)
    assert damage.on_device in (None, refused)
    with ONNX.open(Bundle.of_file(original)) as runner:
        vectors = runner.test_vectors
    if moves_an_answer(data, vectors):
        assert refused or name == "a dropped ReLU that the test vectors expect"


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_forged_expected_logits_are_found_in_every_format(
    name: str, exported: list[Artifact], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the metadata is stored differs; this forges it as a runner reads it, with no checksum that contradicts."""
    genuine = FormatSpec.open

    def forged(spec: FormatSpec, bundle: Bundle) -> Runner:
        runner = genuine(spec, bundle)
        vectors = runner.test_vectors
        other = vectors.with_expected(vectors.expected_logits + np.float32(5))
        return replace(runner, metadata={**runner.metadata, TEST_VECTORS_KEY: other.to_json()})

    monkeypatch.setattr(FormatSpec, "open", forged)
    few = reference.part(np.arange(20))
    for artifact in exported:
        if format_of(artifact.path).name == name:
            report = verify_path(artifact.path, few)
            failed = {check.code for check in report.checks if not check}
            assert failed - {"structure"} == {"selfcheck"}, report.problems
            assert "logits up to 5 off those that its own test vectors expect" in "\n".join(report.problems)
            assert not selfcheck_path(artifact.path)
