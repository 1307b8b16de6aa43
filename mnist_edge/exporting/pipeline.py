"""Checkpoint → artifacts with proof: what does not match the trained model is never given its name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import mnist_edge
from mnist_edge.artifact.bundle import Bundle, read_bundle
from mnist_edge.artifact.contract import Contract, Task
from mnist_edge.artifact.manifest import MANIFEST, manifest_bytes, read_manifest
from mnist_edge.artifact.names import file_stem
from mnist_edge.atomic import Transaction, atomic_write, check_writable, transaction
from mnist_edge.errors import UserError
from mnist_edge.exporting.own_network import export_own
from mnist_edge.exporting.scheme_search import Candidate, select_scheme
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.exporting.test_data import FOLDER, JSON_FILE, test_data_files
from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.locks import locked
from mnist_edge.parity.devices import on_devices
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.steps import OnStep, nothing, of_file
from mnist_edge.parity.tolerance import Goals
from mnist_edge.parity.verify import verify
from mnist_edge.reading import read_bytes
from mnist_edge.training.checkpoint import Checkpoint

OnRefusal = Callable[[str, UserError], None]
"""Takes the name of a file that can't be made, and why; what it returns from is left out."""


class ParityError(UserError):
    """An export does not match the trained model, and was not written."""


@dataclass(frozen=True)
class Artifact:
    """A written artifact and its proof.

    Attributes:
        path: where it is.
        format: a key of `FORMATS`.
        size: in bytes.
        sha256: its digest.
        contract: what it carries.
        report: the verdict on it.
        candidates: the schemes that were compared; none where there was no choice.
    """

    path: Path
    format: str
    size: int
    sha256: str
    contract: Contract
    report: ParityReport
    candidates: tuple[Candidate, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the artifact's entry in the manifest."""
        return {
            "file": self.path.name,
            "format": self.format,
            "precision": self.contract.precision,
            "scheme": self.contract.scheme,
            "options": self.contract.options,
            "bytes": self.size,
            "sha256": self.sha256,
            "checkpoint": self.contract.checkpoint,
            "versions": self.contract.producer,
            "parity": self.report.summary(),
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }


def raise_refusal(_: str, refusal: UserError) -> None:
    """Raise why a file can't be made, so that nothing is left out."""
    raise refusal


def export_artifacts(
    reference: Reference,
    settings: ExportSettings,
    output: Path,
    on_step: OnStep = nothing,
    on_refusal: OnRefusal = raise_refusal,
) -> list[Artifact]:
    """Export the reference's checkpoint in each format and precision into the folder `output`, all or nothing.

    Each artifact is written under a temporary name, judged in its own runtime on all images of the reference, and gets
    its own name only when every one of them has passed. The same checkpoint gives the same bytes. Other processes may
    export into the same folder at the same time.

    Args:
        reference: the trained model, and the images to judge with.
        settings: what is asked for.
        output: the folder; made where it is missing.
        on_step: takes what is done next.
        on_refusal: takes each file that a network of the user's own can't be stored in; as it is, the first is raised.

    Raises:
        ParityError: an artifact does not match; `output` is as it was.
        UserError: one can't be written, or a format can't give what was asked; `output` is as it was.
    """
    planned = [(spec, precision) for spec in settings.formats for precision in settings.precisions_of(spec)]
    _check_output(reference, planned, output, test_data=settings.test_data, force=settings.force)
    with ExitStack() as until_renamed, transaction() as changes:
        artifacts = [
            artifact
            for spec in settings.formats
            for artifact in _export_format(reference, settings, spec, output, changes, on_step, on_refusal)
        ]
        if not artifacts:
            raise UserError(f"nothing was written to {output}: none of the formats can hold this network")
        until_renamed.enter_context(locked(output))
        earlier = [entry for entry in read_manifest(output) if (output / entry["file"]).exists()]
        new = [artifact.to_json() for artifact in artifacts]
        replaced = {entry["file"] for entry in new}
        kept = [entry for entry in earlier if entry["file"] not in replaced]
        if kept != earlier:
            until_renamed.enter_context(_both_listed(output, earlier + new))
        changes.write(output / MANIFEST, manifest_bytes(kept + new))
    return artifacts


def refusals(reference: Reference, settings: ExportSettings) -> dict[str, str]:
    """Return why formats can't hold the reference's network, by name, as far as that shows before exporting."""
    model, tensor = reference.checkpoint.build(), reference.checkpoint.task.input
    found = {spec.name: spec.refusal(model, tensor) for spec in settings.formats}
    return {name: reason for name, reason in found.items() if reason}


@contextmanager
def _both_listed(output: Path, entries: list[dict[str, Any]]) -> Iterator[None]:
    """List what is replaced beside what replaces it, for as long as the block lasts, or until the next export.

    A kill between two renames then leaves no file whose SHA-256 is not listed. A block that fails leaves what was
    listed before.
    """
    before = read_bytes(output / MANIFEST)
    atomic_write(output / MANIFEST, manifest_bytes(entries))
    try:
        yield
    except BaseException:  # Ctrl-C too
        atomic_write(output / MANIFEST, before)
        raise


def _check_output(
    reference: Reference,
    planned: Sequence[tuple[FormatSpec, Precision]],
    output: Path,
    *,
    test_data: bool,
    force: bool,
) -> None:
    """Find out before the work whether what is planned could, and may, be written; raises `UserError`."""
    for spec, precision in planned:
        target = _target(reference, spec, precision, output)
        check_writable(target, folder=spec.folder)
        if not force:
            _check_replaced(target, spec)
        if test_data:
            _check_test_data(output / FOLDER / target.name, force=force)
    check_writable(output / MANIFEST)
    read_manifest(output)


def _check_replaced(target: Path, spec: FormatSpec) -> None:
    """Refuse to replace what no export has written; a damaged artifact, or an empty file, may be."""
    if not target.exists() or target.is_dir() != spec.folder:
        return  # what is of another kind is refused whatever it holds
    found = read_bundle(target, folder=spec.folder, sidecar=not spec.embeds_metadata)
    if any(found.files.values()) and not spec.names_contract(found):
        raise UserError(f"{target} is not an artifact of mnist-edge: name another --output, or replace it with --force")


def _check_test_data(folder: Path, *, force: bool) -> None:
    """Refuse a folder that can't be written, or that holds something else."""
    check_writable(folder, folder=True)
    if not force and folder.is_dir() and any(folder.iterdir()) and not (folder / JSON_FILE).exists():
        raise UserError(f"{folder} is not test data of mnist-edge: name another --output, or replace it with --force")


def _target(reference: Reference, spec: FormatSpec, precision: Precision, output: Path) -> Path:
    return output / artifact_name(reference.checkpoint.task, reference.checkpoint.architecture, spec, precision)


def _export_format(
    reference: Reference,
    settings: ExportSettings,
    spec: FormatSpec,
    output: Path,
    changes: Transaction,
    on_step: OnStep,
    on_refusal: OnRefusal,
) -> Iterator[Artifact]:
    """Export one format in every precision; its exporter converts the network once for all that can be made of it."""
    planned = [(precision, settings.schemes_of(spec, precision)) for precision in settings.precisions_of(spec)]
    if not planned:
        return
    targets = [_target(reference, spec, precision, output) for precision, _ in planned]
    requests = [[_request(reference, spec, scheme, settings.options) for scheme in schemes] for _, schemes in planned]
    on_step(f"{', '.join(target.name for target in targets)}: exports")
    bundles = _export_bundles(spec, reference.checkpoint, requests)
    for target, its_requests, its_bundles in zip(targets, requests, bundles, strict=True):
        if isinstance(its_bundles, UserError):
            on_refusal(target.name, its_bundles)
            continue
        steps = of_file(target.name, on_step)
        yield _prove(reference, settings, spec, target, its_requests, its_bundles, changes, steps)


def _prove(
    reference: Reference,
    settings: ExportSettings,
    spec: FormatSpec,
    target: Path,
    requests: Sequence[ExportRequest],
    bundles: Sequence[Bundle | UserError],
    changes: Transaction,
    on_step: OnStep,
) -> Artifact:
    """Take one of the schemes of a precision, and judge it; raises `ParityError` where it does not match."""
    schemes = [request.scheme for request in requests]
    candidates = (
        select_scheme(spec, schemes, bundles, reference, settings.goals, on_step)
        if _searched(schemes, settings.goals)
        else ()
    )
    taken = next((index for index, candidate in enumerate(candidates) if candidate.chosen), 0)
    bundle = bundles[taken]
    assert isinstance(bundle, Bundle), "what can't be made is not chosen"
    reference.remember_program(spec, requests[taken], bundle)
    written = bundle.with_checksum().write(target, changes)
    artifact = ArtifactFile(target, spec, written)
    report = verify(artifact, reference, settings.goals, on_step=on_step)
    report = on_devices(report, artifact, reference, settings.targets, images=settings.target_images, on_step=on_step)
    if not report:
        reference.programs.clear()  # what a broken exporter gave is no reference for anything else
        raise ParityError(f"{target} was not written, it differs from the trained model: {'; '.join(report.problems)}")
    contract = requests[taken].contract
    if settings.test_data:
        with artifact.open() as runner:
            vectors = runner.test_vectors
        files = {**test_data_files(contract, vectors), **spec.harness_files(written, vectors)}
        changes.write_folder(target.parent / FOLDER / target.name, files)
    return Artifact(target, spec.name, written.size, written.digest, contract, report, candidates)


def _export_bundles(
    spec: FormatSpec, checkpoint: Checkpoint, requests: Sequence[Sequence[ExportRequest]]
) -> Iterator[Sequence[Bundle | UserError] | UserError]:
    """Yield the bundles of each precision; for a network of the user's own, or why it can't be stored in that one."""
    if checkpoint.own is not None:
        yield from (_export_own(spec, checkpoint, of_precision) for of_precision in requests)
        return
    bundles = iter(spec.exporter().export(checkpoint.build(), [request for part in requests for request in part]))
    yield from (list(islice(bundles, len(of_precision))) for of_precision in requests)


def _export_own(
    spec: FormatSpec, checkpoint: Checkpoint, requests: Sequence[ExportRequest]
) -> Sequence[Bundle | UserError] | UserError:
    try:
        return export_own(spec, checkpoint.build(), requests)
    except UserError as refusal:
        return refusal


def _searched(schemes: Sequence[Scheme], goals: Goals) -> bool:
    """Say whether schemes are compared before one is taken: not where there is only one, unless it may be too large."""
    return schemes[0].quantized and (len(schemes) > 1 or goals.max_bytes is not None)


def _request(reference: Reference, spec: FormatSpec, scheme: Scheme, options: Mapping[str, int]) -> ExportRequest:
    request = reference.request(spec, scheme, {**spec.options, **options})
    return replace(request, contract=replace(request.contract, producer=_producer(spec)))


def _producer(spec: FormatSpec) -> dict[str, str]:
    packages = dict.fromkeys(("torch", *spec.export_packages, *spec.run_packages))
    return {"mnist-edge": mnist_edge.__version__, **{name: version(name) for name in packages}}


def artifact_name(task: Task, architecture: str, spec: FormatSpec, precision: Precision) -> str:
    """Return the name of an artifact in the folder of the exports."""
    return f"{file_stem(task, architecture)}{'' if precision is Precision.FP32 else f'-{precision}'}{spec.suffix}"
