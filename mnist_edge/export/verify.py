"""Judge an exported file against the checkpoint that it came from."""

import dataclasses
from pathlib import Path

from mnist_edge.export.certainty import certainty_problems
from mnist_edge.export.format import ArtefactError, Format, Loaded
from mnist_edge.export.formats import format_of
from mnist_edge.export.parity import TOLERANCES, ParityReport, Reference, compare, in_batches, shortfalls
from mnist_edge.files import read_bytes, sha256
from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.manifest import MANIFEST, read_manifest
from mnist_edge.runtime.seal import SealError, check_seal


def verify(path: Path, reference: Reference) -> ParityReport:
    """Judge an exported file: as `judge`, and against the manifest in its folder, where that lists it.

    Raises:
        UserError: the file can't be read, or its format can't be told.
    """
    report = judge(path, format_of(path), reference)
    return dataclasses.replace(report, problems=(*_manifest_problems(path), *report.problems))


def judge(path: Path, format: Format, reference: Reference) -> ParityReport:
    """Judge a file by its seal, contract, structure, and its answers to all images of the reference.

    Raises:
        UserError: the file can't be read.
    """
    problems = _seal_problems(path)
    try:
        loaded = format.load(path)
    except ArtefactError as error:
        return _report(reference, [*problems, str(error)])
    expected = dataclasses.replace(
        expected_contract(reference, loaded.contract.precision, loaded.contract.opset),
        producer=loaded.contract.producer,
        certainty=loaded.contract.certainty,
    )
    problems += [f"its contract differs: {line}" for line in expected.differences(loaded.contract)]
    problems += certainty_problems(loaded.contract, reference)
    problems += loaded.problems
    if loaded.contract.precision not in format.precisions:
        known = " or ".join(format.precisions)
        return _report(reference, [*problems, f"its precision is {loaded.contract.precision!r}, expected {known}"])
    return _judge_answers(loaded, reference, problems)


def expected_contract(reference: Reference, precision: str, opset: int | None) -> Contract:
    """Return the contract that a file from the reference's checkpoint carries, without producer and certainty."""
    checkpoint = reference.checkpoint
    return Contract(
        checkpoint=checkpoint.digest,
        architecture=checkpoint.architecture,
        precision=precision,
        opset=opset,
        producer={},
        temperature=checkpoint.temperature,
    )


def _judge_answers(loaded: Loaded, reference: Reference, problems: list[str]) -> ParityReport:
    tolerance = TOLERANCES[loaded.contract.precision]
    comparisons = []
    try:
        in_batches(loaded.predict, reference.images[:7], 7)  # takes a batch, whatever batch it is judged at
        for batch in tolerance.batches:
            logits = in_batches(loaded.predict, reference.images, batch)
            comparisons.append(compare(reference, logits, batch))
    except ArtefactError as error:
        problems = [*problems, str(error)]
    for comparison in comparisons:
        problems = problems + shortfalls(comparison, tolerance, reference.accuracy)
    return ParityReport(
        images=len(reference.images),
        tolerance=tolerance,
        reference_accuracy=reference.accuracy,
        comparisons=tuple(comparisons),
        problems=tuple(problems),
    )


def _report(reference: Reference, problems: list[str]) -> ParityReport:
    """Return the report on a file that could not be run."""
    return ParityReport(len(reference.images), None, reference.accuracy, (), tuple(problems))


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
