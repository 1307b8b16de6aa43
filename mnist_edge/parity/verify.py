"""Judge an exported file against the checkpoint that it came from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_edge.formats.base import ArtefactError, Format, Loaded
from mnist_edge.formats.registry import format_of
from mnist_edge.parity.test_vectors import golden_problems
from mnist_edge.parity.comparison import (
    NO_GOALS,
    TOLERANCES,
    Goals,
    ParityReport,
    Reference,
    Tolerance,
    compare,
    in_batches,
    shortfalls,
)
from mnist_edge.parity.weights import weight_problems
from mnist_edge.atomic import read_bytes, sha256
from mnist_edge.artifact.contract import UNQUANTIZED, Contract
from mnist_edge.artifact.manifest import MANIFEST, read_manifest
from mnist_edge.artifact.checksum import SealError, check_seal


@dataclass(frozen=True)
class Judged:
    """A file after its judgement.

    Attributes:
        report: the verdict.
        defects: the problems of the file itself, whatever it answers: seal, manifest, contract, structure.
        loaded: the open file, None where it could not be run.
        logits: its answers to all images, float32 `[N, 10]`, at the last of its tolerance's batch sizes, or None.
    """

    report: ParityReport
    defects: tuple[str, ...]
    loaded: Loaded | None = None
    logits: NDArray[np.float32] | None = None


def verify(path: Path, reference: Reference) -> ParityReport:
    """Judge an exported file: as `judge`, and against the manifest in its folder, where that lists it.

    Raises:
        UserError: the file can't be read, or its format can't be told.
    """
    return verify_closely(path, reference, reference).report


def verify_closely(path: Path, reference: Reference, sample: Reference) -> Judged:
    """Judge an exported file as `verify` does, but at all but the last batch size on the images of `sample` only.

    Raises:
        UserError: the file can't be read, or its format can't be told.
    """
    judged = _judge(path, format_of(path), reference, sample, NO_GOALS)
    listed = _manifest_problems(path)
    return dataclasses.replace(
        judged,
        report=dataclasses.replace(judged.report, problems=(*listed, *judged.report.problems)),
        defects=(*listed, *judged.defects),
    )


def judge(path: Path, format: Format, reference: Reference, goals: Goals = NO_GOALS) -> ParityReport:
    """Judge a file by its seal, contract, golden vectors, structure, and its answers to all images of the reference.

    Args:
        path: the file.
        format: its format.
        reference: the trained model's answers.
        goals: what is asked for beyond the tolerance of the file's precision.

    Raises:
        UserError: the file can't be read.
    """
    return _judge(path, format, reference, reference, goals).report


def _judge(path: Path, format: Format, reference: Reference, sample: Reference, goals: Goals) -> Judged:
    problems = _seal_problems(path)
    try:
        loaded = format.load(path)
    except ArtefactError as error:
        return _not_run(reference, [*problems, str(error)])
    expected = dataclasses.replace(
        expected_contract(reference, loaded.contract.scheme, loaded.contract.opset),
        producer=loaded.contract.producer,
    )
    problems += [f"its contract differs: {line}" for line in expected.differences(loaded.contract)]
    problems += loaded.problems
    problems += weight_problems(loaded.weights, reference.checkpoint.build())
    problems += golden_problems(loaded.golden, reference.golden, loaded.contract.scheme)
    if loaded.contract.precision not in format.precisions:
        known = " or ".join(format.precisions)
        return _not_run(reference, [*problems, f"its precision is {loaded.contract.precision!r}, expected {known}"])
    tolerance = goals.tighten(TOLERANCES[loaded.contract.precision])
    return _judge_answers(loaded, reference, sample, problems, tolerance)


def expected_contract(reference: Reference, scheme: str, opset: int | None) -> Contract:
    """Return the contract that a file from the reference's checkpoint carries, without its producer.

    Args:
        reference: of the checkpoint.
        scheme: how the file is quantised, or `UNQUANTIZED`.
        opset: ONNX opset of the file, or None in a format that has none.
    """
    checkpoint = reference.checkpoint
    return Contract(
        checkpoint=checkpoint.digest,
        architecture=checkpoint.architecture,
        precision="fp32" if scheme == UNQUANTIZED else "int8",
        scheme=scheme,
        opset=opset,
        producer={},
        temperature=checkpoint.temperature,
        certainty=reference.certainty,
    )


def _judge_answers(
    loaded: Loaded, reference: Reference, sample: Reference, defects: list[str], tolerance: Tolerance
) -> Judged:
    comparisons, problems, logits = [], list(defects), None
    try:
        in_batches(loaded.predict, reference.images[:7], 7)  # takes a batch, whatever batch it is judged at
        for batch in tolerance.batches:
            judged = reference if batch == tolerance.batches[-1] else sample
            logits = in_batches(loaded.predict, judged.images, batch)
            part = len(judged.images) < len(reference.images)
            comparisons.append(dataclasses.replace(compare(judged, logits, batch), part=part))
            problems += shortfalls(comparisons[-1], tolerance, judged.accuracy)
    except ArtefactError as error:
        problems, logits = [*problems, str(error)], None
    report = ParityReport(
        images=len(reference.images),
        tolerance=tolerance,
        reference_accuracy=reference.accuracy,
        comparisons=tuple(comparisons),
        problems=tuple(problems),
    )
    return Judged(report, tuple(defects), loaded, logits)


def _not_run(reference: Reference, problems: list[str]) -> Judged:
    """Return the judgement of a file that could not be run."""
    return Judged(ParityReport(len(reference.images), None, reference.accuracy, (), tuple(problems)), tuple(problems))


def _seal_problems(path: Path) -> list[str]:
    try:
        check_seal(read_bytes(path))
    except SealError as error:
        return [str(error)]
    return []


def _manifest_problems(path: Path) -> list[str]:
    listed = {entry["file"]: entry["sha256"] for entry in read_manifest(path.parent)}
    if listed.get(path.name) in (None, sha256(read_bytes(path))):
        return []
    return [f"its SHA-256 is not the one in {path.parent / MANIFEST}: it was altered, or export again"]
