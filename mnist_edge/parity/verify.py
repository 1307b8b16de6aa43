"""The judgement of an artifact against the checkpoint that it came from."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.manifest import MANIFEST, read_manifest
from mnist_edge.errors import ArtifactError, ChecksumError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.build import Inspection
from mnist_edge.formats.registry import read_artifact
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import Scheme
from mnist_edge.locks import locked
from mnist_edge.parity.answers import check_other_inputs, compare_answers
from mnist_edge.parity.baseline import Baseline, check_baseline, compare_with_baseline
from mnist_edge.parity.checks import Check, as_expected, check_figures, not_available, timed
from mnist_edge.parity.layerwise import compare_layers
from mnist_edge.parity.logits import absolute_differences, largest_logit
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.recorded_answers import record_answers
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.statistics import statistics
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.parity.test_vectors import test_vector_problems
from mnist_edge.parity.tolerance import NO_GOALS, Goals
from mnist_edge.parity.weights import weight_problems


def verify_path(path: Path, reference: Reference, *, layers: bool = False, on_step: OnStep = nothing) -> ParityReport:
    """Judge the artifact at a path as `verify` does, and against the manifest in its folder, where that lists it.

    One that can't be read, or has the suffix of no format, fails for that reason.
    """
    try:
        with locked(path.parent, shared=True):  # an export beside this changes both, one after the other
            artifact = read_artifact(path)
            start = perf_counter()
            manifest = [replace(check, seconds=perf_counter() - start) for check in _check_manifest(artifact)]
    except UserError as error:
        check = Check("readable", "file", "cannot be used", (str(error),))
        return ParityReport(path, 0, "", len(reference.images), reference.accuracy, (check,))
    report = verify(artifact, reference, layers=layers, on_step=on_step)
    return replace(report, checks=(*manifest, *report.checks))


def verify(
    artifact: ArtifactFile,
    reference: Reference,
    goals: Goals = NO_GOALS,
    *,
    layers: bool = False,
    on_step: OnStep = nothing,
) -> ParityReport:
    """Judge an artifact by its checksum, contract, structure, weights, test vectors, and its answers.

    All images of the reference are compared at each batch size and in shuffled batches, so that two judgements of
    the same artifact, such as those of `export` and `verify`, give the same figures. What can't be judged, for want of
    a package or for what the artifact is, is a check that failed.

    Args:
        artifact: as it was read.
        reference: the trained model's answers.
        goals: what is asked for beyond the tolerance of the artifact's scheme.
        layers: whether to compare layer by layer too.
        on_step: is called with what is done next.
    """
    start = perf_counter()
    if artifact.spec.max_images is None:
        report = _judge(artifact, reference, goals, on_step)
    else:
        chosen = reference.sample_indices(artifact.spec.max_images)
        every_image, reference = len(reference.images), reference.part(chosen)
        report = _judge(artifact, reference, goals, on_step)
        found = report.statistics.of_part(chosen) if report.statistics else None
        answers = report.answers if report.images == every_image else None  # another checkpoint's sample is another
        report = replace(report, statistics=found, answers=answers)
    if layers and all(check for check in report.checks if check.code == "checkpoint"):
        on_step("compares layer by layer")
        report = _with_layers(report, artifact, reference)
    return replace(report, seconds=perf_counter() - start)


def with_baseline(report: ParityReport, reference: Reference, baseline: Baseline) -> ParityReport:
    """Return a report on all images of the reference with a check that it is no worse than what was recorded.

    Raises:
        UserError: nothing fitting was recorded, or it was on other test images.
    """
    entry = baseline.entry(report.path.name, reference.test_set, len(reference.images))
    labels, texts = reference.labels, reference.checkpoint.task.labels
    found = compare_with_baseline(entry, report.answers, labels, texts) if report.answers else None
    if found is None:
        reason = "not all test images were answered, now or then"
        return replace(report, checks=(*report.checks, not_available("baseline", "baseline", reason)))
    return replace(report, baseline=found, checks=(*report.checks, check_baseline(found, baseline.path)))


def _judge(artifact: ArtifactFile, reference: Reference, goals: Goals, on_step: OnStep) -> ParityReport:
    on_step("checks what it is")
    checks = [timed(lambda: _check_checksum(artifact))]
    try:
        runner = artifact.open()
        with runner:
            checks.append(timed(lambda: _check_checkpoint(runner.contract, reference)))
            if not checks[-1]:
                return _not_run(artifact, reference, checks, "")
            inspection = artifact.spec.inspect(artifact.bundle, runner)
            checks += _check_content(artifact, runner, inspection, reference)
            scheme = artifact.spec.scheme(runner.contract.scheme)
            if scheme is None or scheme.precision != runner.contract.precision:
                return _not_run(artifact, reference, checks, "its scheme is not known")
            return _verify_answers(artifact, runner, scheme, reference, goals, checks, on_step)
    except (ArtifactError, UserError) as error:  # such as a package that is not installed: others are still judged
        return _not_run(artifact, reference, [*checks, Check("loads", "file", "cannot be run", (str(error),))], "")


def _check_checksum(artifact: ArtifactFile) -> Check:
    try:
        artifact.bundle.verify_checksum()
    except ChecksumError as error:
        return as_expected("checksum", "checksum", (str(error),))
    return as_expected("checksum", "checksum", ())


def _check_checkpoint(contract: Contract, reference: Reference) -> Check:
    """Check that an artifact comes from the reference's checkpoint; all else that differs follows where it does not."""
    checkpoint = reference.checkpoint
    made = f"sha256:{contract.checkpoint[:12]} ({contract.task.name}-{contract.architecture})"
    given = f"sha256:{checkpoint.digest[:12]} ({checkpoint.task.name}-{checkpoint.architecture})"
    problem = (
        f"made from another checkpoint: the file says {made}, given is {given}; name the right one with --checkpoint"
    )
    same = contract.checkpoint == checkpoint.digest
    return as_expected("checkpoint", "checkpoint", () if same else (problem,))


def _check_manifest(artifact: ArtifactFile) -> list[Check]:
    """Return the check against the manifest of the artifact's folder; none where that does not list it."""
    folder = artifact.path.parent
    listed = [entry["sha256"] for entry in read_manifest(folder) if entry["file"] == artifact.path.name]
    if not listed:
        return []
    problem = f"its SHA-256 is not the one in {folder / MANIFEST}: it was altered, or export again"
    return [as_expected("manifest", "manifest", () if artifact.bundle.digest in listed else (problem,))]


def _check_content(
    artifact: ArtifactFile, runner: Runner, inspection: Inspection | None, reference: Reference
) -> list[Check]:
    """Check what the artifact is and carries, whatever it answers."""
    contract, spec = runner.contract, artifact.spec
    scheme = spec.scheme(contract.scheme)
    if scheme is None:
        known = ", ".join(scheme.name for scheme in spec.schemes)
        problem = f"its scheme is {contract.scheme!r}, expected one of {known}"
        return [as_expected("contract", "contract", (problem,))]
    options = {name: contract.options.get(name, value) for name, value in spec.options.items()}
    expected = replace(reference.contract(spec, scheme, options), producer=contract.producer)
    found = inspection.problems if inspection else ()
    return [
        timed(lambda: as_expected("contract", "contract", _contract_problems(contract, expected))),
        timed(lambda: as_expected("structure", "structure", (*runner.mismatches, *found))),
        timed(lambda: _check_weights(artifact, inspection, reference)),
        timed(lambda: as_expected("test_vectors", "test vectors", _vector_problems(runner, scheme, reference))),
        timed(lambda: as_expected("program", "program", _program_problems(artifact, scheme, options, reference))),
    ]


def _contract_problems(contract: Contract, expected: Contract) -> tuple[str, ...]:
    return tuple(f"its contract differs: {line}" for line in expected.differences(contract))


def _vector_problems(runner: Runner, scheme: Scheme, reference: Reference) -> tuple[str, ...]:
    return test_vector_problems(runner.test_vectors, reference.test_vectors, scheme)


def _program_problems(
    artifact: ArtifactFile, scheme: Scheme, options: dict[str, int], reference: Reference
) -> tuple[str, ...]:
    """Return a line where the artifact does not hold exactly what the exporter writes for the checkpoint.

    Answers to any number of images do not show a branch that waits for a mark in its input, or weights that nothing
    should use. The same program, byte for byte, has neither.
    """
    try:
        expected = reference.program(artifact.spec, scheme, options)
    except UserError as error:  # what exporting needs is not installed, or the options that the file names can't be had
        return (f"its program can't be compared with what the exporter writes: {error}",)
    found = artifact.spec.program(artifact.bundle)
    different = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if not different:
        return ()
    return (
        f"it is not the program that this exporter writes for the checkpoint ({different[0][:80]} differs): it was "
        "altered, or written by other versions; export again",
    )


def _check_weights(artifact: ArtifactFile, inspection: Inspection | None, reference: Reference) -> Check:
    if inspection is None or not artifact.spec.readable_weights:
        return not_available("weights", "weights", f"{artifact.spec.name} does not show them")
    problems = weight_problems(inspection.weights, reference.checkpoint.build())
    if problems is None:
        return not_available("weights", "weights", "this network can't be traced")
    return as_expected("weights", "weights", problems)


def _verify_answers(
    artifact: ArtifactFile,
    runner: Runner,
    scheme: Scheme,
    reference: Reference,
    goals: Goals,
    checks: list[Check],
    on_step: OnStep,
) -> ParityReport:
    tolerance = goals.tighten(scheme.tolerance_at(reference.accuracy).for_logits(largest_logit(reference.logits)))
    batches = artifact.spec.batches(scheme)
    answers = compare_answers(runner, batches, tolerance, reference, on_step)
    report = ParityReport(
        path=artifact.path,
        size=artifact.bundle.size,
        sha256=artifact.bundle.digest,
        images=len(reference.images),
        reference_accuracy=reference.accuracy,
        checks=(*checks, *answers.checks),
        tolerance=tolerance,
        comparisons=answers.comparisons,
    )
    if answers.logits is None:
        return report
    others = check_other_inputs(artifact, runner, scheme, reference, answers.alone, on_step)
    stated = (
        []
        if runner.figures is None
        else [check_figures(runner.figures, answers.logits, reference.logits, reference.labels)]
    )
    return replace(
        report,
        checks=(*report.checks, *others, *stated),
        statistics=statistics(reference.logits, answers.logits, reference.labels, reference.checkpoint.temperature),
        differences=absolute_differences(reference.logits, answers.logits),
        answers=record_answers(answers.logits, reference.labels, reference.test_set),
    )


def _not_run(artifact: ArtifactFile, reference: Reference, checks: list[Check], reason: str) -> ParityReport:
    """Return the verdict on an artifact that could not be run; it fails, for this reason if no check says why."""
    if all(checks):
        checks = [*checks, Check("loads", "file", "cannot be run", (reason,))]
    bundle = artifact.bundle
    return ParityReport(
        artifact.path, bundle.size, bundle.digest, len(reference.images), reference.accuracy, tuple(checks)
    )


def _with_layers(report: ParityReport, artifact: ArtifactFile, reference: Reference) -> ParityReport:
    """Return the report with the error of each layer, or with the reason why that can't be shown."""
    if report.tolerance is None:
        return replace(report, layers_unavailable_reason="it cannot be run")
    batch = artifact.spec.batch or report.tolerance.batches[-1]
    try:
        model, images = reference.checkpoint.build(), reference.sample().images
        return replace(report, layers=compare_layers(artifact, model, images, batch))
    except ArtifactError as error:
        return replace(report, layers_unavailable_reason=str(error))
