"""`mnist-edge export`: checkpoint in, artifacts with proof out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.artifact.manifest import MANIFEST
from mnist_edge.cli import edge, options, outputs, torch_setup
from mnist_edge.cli.few_images import note_few_images
from mnist_edge.cli.output import note, say_json
from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec, install_command
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision
from mnist_edge.percent import share_of

if TYPE_CHECKING:
    from mnist_edge.exporting.pipeline import Artifact
    from mnist_edge.exporting.settings import ExportSettings
    from mnist_edge.parity.reference import Reference

ALL = "all"
"""Stands for every format that can be exported on this machine, or every precision that one of the formats has."""

EVERY_PRECISION: tuple[Precision, ...] = ()
"""What `--precision all` is until the formats are known."""


class Precisions(click.ParamType[tuple[Precision, ...]]):
    """Precisions, separated by commas, or `all`."""

    name = "precisions"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what the help shows."""
        return f"{','.join(_known_precisions())}|{ALL}"

    def convert(
        self, value: str | tuple[Precision, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Precision, ...]:
        """Return the precisions in the order in which they were given."""
        if isinstance(value, tuple):
            return value
        if value == ALL:
            return EVERY_PRECISION
        known = _known_precisions()
        for name in value.split(","):
            if name not in known:
                self.fail(f"{name!r} is not one of {', '.join(known)}, nor {ALL}", param, ctx)
        return tuple(dict.fromkeys(Precision(name) for name in value.split(",")))


def _known_precisions() -> list[str]:
    return [precision for precision in Precision if any(precision in spec.precisions for spec in FORMATS.values())]


@click.command()
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path), default=options.last_checkpoint)
@click.option(
    "-f",
    "--format",
    "names",
    multiple=True,
    type=click.Choice([*FORMATS, ALL]),
    default=["onnx"],
    show_default=True,
    help="May be given more than once; see `mnist-edge formats`.",
)
@click.option(
    "-p",
    "--precision",
    "precisions",
    type=Precisions(),
    show_default="fp32, or the first that the format has",
    help="One, or several; all is every one that a format has.",
)
@click.option("--quantize", is_flag=True, help="Add int8 to the precisions.")
@click.option(
    "--quant-scheme",
    type=click.Choice(list(dict.fromkeys(s.name for spec in FORMATS.values() for s in spec.schemes if s.quantized))),
    metavar="SCHEME",
    help="Quantize in this scheme instead of the best: see the table that is printed.",
)
@click.option(
    "--max-logit-error",
    type=options.Finite(min=0),
    metavar="LOGITS",
    help="Goal: the largest difference of a logit, such as 1e-4.",
)
@click.option(
    "--min-agreement",
    type=options.Finite(min=0, max=100),
    metavar="PERCENT",
    help="Goal: the least share of images with the trained model's answer, such as 99.9.",
)
@click.option(
    "--max-accuracy-drop",
    type=options.Finite(min=0, max=100),
    metavar="POINTS",
    help="Goal: by how many percentage points the accuracy may be lower, such as 0.05.",
)
@click.option("--max-bytes", type=click.IntRange(min=1), help="Goal: the largest size of a quantized artifact.")
@click.option("--opset", type=click.IntRange(min=1), help="ONNX opset of the files.  [default: 18]")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Folder to write to.",
)
@click.option(
    "--test-data",
    is_flag=True,
    help="Also write the test vectors to test-data/, for harnesses of other runtimes: ONNX's .pb, .npz and JSON.",
)
@options.targets("Also run what is exported")
@options.target_images
@outputs.force
@options.own_architecture
@options.pictures
@options.data_dir
@options.as_json
@edge.read_to_the_end()
def command(
    checkpoint: Path,
    names: tuple[str, ...],
    precisions: tuple[Precision, ...] | None,
    quantize: bool,
    quant_scheme: str | None,
    max_logit_error: float | None,
    min_agreement: float | None,
    max_accuracy_drop: float | None,
    max_bytes: int | None,
    opset: int | None,
    output: Path,
    test_data: bool,
    targets: tuple[str, ...],
    target_images: int | None,
    force: bool,
    architecture: str | None,
    dataset: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Export CHECKPOINT, which is the one in checkpoints/ that was trained last, unless another is named.

    Every artifact is compared with the trained model on all test images before it gets its name. If one differs, none
    is written and what was there stays. Goals come on top of the tolerance of each precision; to miss one is to
    differ. A quantized artifact is made in each scheme that the format has, and the one whose answers agree most with
    the trained model's is kept. With --format all, what can't hold the network is left out.
    """
    if target_images is not None and not targets:
        raise click.UsageError(options.TARGET_IMAGES_ALONE)
    from mnist_edge.atomic import check_writable

    check_writable(output / MANIFEST)
    torch_setup.wait_passively()
    from mnist_edge.cli.progress import steps
    from mnist_edge.exporting.settings import ExportSettings
    from mnist_edge.formats.targets import chosen_targets
    from mnist_edge.parity.tolerance import Goals

    goals = Goals(
        max_abs_diff=max_logit_error,
        min_agreement=None if min_agreement is None else share_of(min_agreement),
        max_accuracy_drop=None if max_accuracy_drop is None else share_of(max_accuracy_drop),
        max_bytes=max_bytes,
    )
    options_of_formats = {} if opset is None else {"opset": opset}
    chosen = _chosen(names)
    try:
        devices = chosen_targets(targets, chosen)
        settings = ExportSettings(
            formats=chosen,
            precisions=_wanted(precisions, quantize, chosen),
            options=options_of_formats,
            goals=goals,
            scheme=quant_scheme,
            targets=devices,
            target_images=target_images,
            test_data=test_data,
            force=force,
        )
    except UserError as error:  # options that do not go together
        raise click.UsageError(f"{error}.") from error
    if (quant_scheme is not None or max_bytes is not None) and not settings.quantizes:
        raise click.UsageError("--quant-scheme and --max-bytes go with --quantize or a --precision below fp32.")
    for spec in chosen:
        spec.check_installed("export to")
    with steps() as on_step:
        on_step("answers with the trained model")
        from mnist_edge.exporting.pipeline import export_artifacts, raise_refusal
        from mnist_edge.parity.reference import load_reference

        reference = load_reference(checkpoint, data_dir, architecture, dataset)
        if reference.doubt:
            note(f"{checkpoint}: {reference.doubt}")
        if ALL in names:
            settings = _without_refused(settings, reference, targets)
        # With --target, what its device would run is not left out.
        on_refusal = _note_refusal if ALL in names and not devices else raise_refusal
        artifacts = export_artifacts(reference, settings, output, on_step, on_refusal)
    note_few_images([artifact.report for artifact in artifacts])
    if as_json:
        say_json([artifact.to_json() for artifact in artifacts])
        return
    _print(artifacts, len(reference.validation), output)


def _print(artifacts: "list[Artifact]", images: int, output: Path) -> None:
    """Print how the schemes compare on that many validation images, and the verdict on each artifact."""
    from mnist_edge.cli.layout import print_tables
    from mnist_edge.cli.tables import candidate_table, device_table, verdict_table

    compared = [artifact for artifact in artifacts if len(artifact.candidates) > 1]
    candidates = [candidate_table(artifact, images) for artifact in compared]
    devices = [device_table(artifact.report) for artifact in artifacts if artifact.report.devices]
    verdicts = verdict_table([artifact.report for artifact in artifacts], f"exported to {output}")
    print_tables([*candidates, *devices, verdicts])
    for artifact in compared:
        for candidate in artifact.candidates:
            if candidate.refusal:
                note(f"{artifact.path.name}: {candidate.scheme} was refused: {candidate.refusal}")


def _note_refusal(name: str, refusal: UserError) -> None:
    note(f"{name} is left out: {refusal}")


def _without_refused(settings: "ExportSettings", reference: "Reference", targets: tuple[str, ...]) -> "ExportSettings":
    """Return the settings without the formats that can't hold the network, and say which.

    Raises:
        UserError: no other format is left, or none for a target that was named.
    """
    from dataclasses import replace

    from mnist_edge.exporting.pipeline import refusals
    from mnist_edge.formats.targets import chosen_targets

    refused = refusals(reference, settings)
    for name, reason in refused.items():
        note(f"{name} is left out: {reason}")
    kept = [spec for spec in settings.formats if spec.name not in refused]
    return replace(settings, formats=kept, targets=chosen_targets(targets, kept))


def _wanted(
    precisions: tuple[Precision, ...] | None, quantize: bool, specs: list[FormatSpec]
) -> tuple[Precision, ...] | None:
    """Return the precisions that are meant, of those that the formats have where none is named."""
    there = tuple(precision for precision in Precision if any(precision in spec.precisions for spec in specs))
    if precisions == EVERY_PRECISION:
        return there
    if not quantize:
        return precisions
    first = tuple(precision for precision in there if precision is Precision.FP32) if precisions is None else precisions
    return tuple(dict.fromkeys((*first, Precision.INT8)))


def _chosen(names: tuple[str, ...]) -> list[FormatSpec]:
    """Return the formats that were named, in the order of the registry; of `all`, those that can be exported here."""
    if ALL not in names:
        return [spec for name, spec in FORMATS.items() if name in names]
    chosen = []
    for spec in FORMATS.values():
        if missing := spec.missing_to_export():
            install = install_command(spec.export_extra)
            note(f"{spec.name} is left out: {', '.join(missing)} not installed; {install}")
        else:
            chosen.append(spec)
    if not chosen:
        raise UserError(f"no format can be exported here: {install_command('export')}")
    return chosen
