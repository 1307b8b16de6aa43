"""An artifact on emulated devices: its logits there must be those that it gives here, within its bound.

For a scheme whose bound between processors is 0, that is to the last bit.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.device_run import DeviceRun
from mnist_edge.formats.registry import format_of, read_artifact
from mnist_edge.parity.checks import Check, timed
from mnist_edge.parity.logits import absolute_differences, largest_logit
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.types import Images, Logits


def on_devices(
    report: ParityReport,
    artifact: ArtifactFile,
    reference: Reference,
    targets: Sequence[str],
    *,
    images: int | None = None,
    on_step: OnStep = nothing,
) -> ParityReport:
    """Return the report on an artifact with a check and the figures of each target that its format has.

    Args:
        report: on the artifact; one that could not be run stays as it is.
        artifact: as it was read.
        reference: the images, and the trained model's answers to them.
        targets: names of targets; those that the format does not have are passed over.
        images: on how many of the images, or None for all.
        on_step: is called with what is done next.

    Raises:
        UserError: a package that this needs is not installed.
    """
    names = [name for name in targets if name in artifact.spec.targets]
    if not names or report.statistics is None:
        return report
    inputs = reference.images[:images]
    checks: list[Check] = []
    runs: list[DeviceRun] = []
    try:
        with artifact.open() as runner:
            scheme = artifact.spec.scheme(runner.contract.scheme)
            here = runner.predict_in_batches(inputs, artifact.spec.batches(scheme)[0] if scheme else 1)
    except ArtifactError as error:
        return _not_run(report, error)
    bound = scheme.bound_for(largest_logit(reference.logits[:images])) if scheme else 0.0
    for name in names:
        on_step(f"runs on {name}")

        def judge(name: str = name) -> Check:
            return _judge(artifact, name, bound, inputs, here, runs)

        checks.append(timed(judge))
    seconds = report.seconds + sum(check.seconds for check in checks)
    return replace(report, checks=(*report.checks, *checks), devices=tuple(runs), seconds=seconds)


def read_on_devices(
    report: ParityReport,
    reference: Reference,
    targets: Sequence[str],
    *,
    images: int | None = None,
    on_step: OnStep = nothing,
) -> ParityReport:
    """Return the report on an artifact's path as `on_devices` does; the file is read again, and must be the same."""
    if report.statistics is None or not {*targets} & {*format_of(report.path).targets}:
        return report
    try:
        artifact = read_again(report)
    except ArtifactError as error:
        return _not_run(report, error)
    return on_devices(report, artifact, reference, targets, images=images, on_step=on_step)


def read_again(report: ParityReport) -> ArtifactFile:
    """Return the artifact that a report is on, read from its path again.

    Raises:
        ArtifactError: it can't be read anymore, or is another one than was judged.
    """
    try:
        artifact = read_artifact(report.path)
    except UserError as error:
        raise ArtifactError(f"it can't be read again: {error}") from error
    if artifact.bundle.digest != report.sha256:
        raise ArtifactError("it was replaced while it was judged")
    return artifact


def _not_run(report: ParityReport, error: ArtifactError) -> ParityReport:
    """Return the report with a check that failed since there was nothing to compare devices with."""
    check = Check("devices", "on devices", "cannot be run", (str(error),))
    return replace(report, checks=(*report.checks, check))


def _judge(
    artifact: ArtifactFile, name: str, bound: float, inputs: Images, here: Logits, runs: list[DeviceRun]
) -> Check:
    """Return the check of one target, and add what it gave to `runs`."""
    code, title = f"target_{name}", f"on {name}"
    try:
        run = artifact.spec.devices().run_on(artifact.bundle, name, inputs)
    except ArtifactError as error:
        return Check(code, title, "cannot be run", (f"{name}: {error}",))
    runs.append(run)
    if run.logits.shape != here.shape or run.logits.dtype != here.dtype:
        return Check(code, title, "gives no logits", (f"{name} gives {run.logits.dtype} {list(run.logits.shape)}",))
    equal = equal_logits(run.logits, here)
    answers = int((run.logits.argmax(axis=1) == here.argmax(axis=1)).sum())
    difference = float(absolute_differences(run.logits, here).max())
    figures = {"images": len(here), "equal_logits": equal, "equal_answers": answers, "max_abs_diff": difference}
    if bound == 0:
        found = f"logits of {equal:,} of {len(here):,} images equal"
        problem = f"{name} gives other logits than this machine for {len(here) - equal:,} of {len(here):,} images"
        return Check(code, title, found, () if equal == len(here) else (problem,), figures=figures)
    found = f"largest |Δlogit| {difference:.3g} from here, {answers:,} of {len(here):,} answers equal"
    problem = f"{name} gives logits up to {difference:.3g} off those of this machine, expected at most {bound:g}"
    return Check(code, title, found, () if difference <= bound else (problem,), figures=figures)


def equal_logits(logits: Logits, others: Logits) -> int:
    """Return for how many images all logits, float32 `[N, classes]`, are the same to the last bit."""
    return int((logits.view(np.uint32) == others.view(np.uint32)).all(axis=1).sum())
