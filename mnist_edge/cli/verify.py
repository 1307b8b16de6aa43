"""`mnist-edge verify`: exported artifacts and their checkpoint in, verdicts and reports out."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import edge, options, outputs, torch_setup
from mnist_edge.cli.few_images import note_few_images
from mnist_edge.cli.output import note, say_json

if TYPE_CHECKING:
    from mnist_edge.exporting.report.environment import Environment
    from mnist_edge.formats.base import FormatSpec
    from mnist_edge.parity.parity_report import ParityReport
    from mnist_edge.parity.reference import Reference


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@click.option(
    "-c",
    "--checkpoint",
    type=click.Path(path_type=Path),
    show_default="those in checkpoints/ that the manifest names, else the last",
    help="The one checkpoint that all were exported from.",
)
@click.option("--layers", is_flag=True, help="Also compare layer by layer, and name the first that diverges.")
@click.option(
    "--html",
    type=outputs.OutputPath(outputs.HTML),
    help="Write the report as one HTML page, with the changed digits.",
)
@click.option(
    "--junit",
    "junit_file",
    type=outputs.OutputPath(outputs.JUNIT),
    help="Write the outcome of each check as JUnit XML.",
)
@click.option(
    "--baseline",
    "baseline_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An earlier --json report or manifest.json: fail where the answers are worse than those, beyond chance.",
)
@click.option(
    "--browser", is_flag=True, help="Also open pages in Chromium, and compare their answers to images and PNG files."
)
@click.option(
    "--browser-path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PROGRAM",
    show_default="chromium, google-chrome, ... on the PATH",
    help="The browser; implies --browser.",
)
@options.targets("Also run the files")
@options.target_images
@outputs.force
@options.own_architecture
@options.pictures
@options.data_dir
@options.as_json
@edge.read_to_the_end()
def command(
    artifacts: tuple[Path, ...],
    checkpoint: Path | None,
    layers: bool,
    html: Path | None,
    junit_file: Path | None,
    baseline_file: Path | None,
    browser: bool,
    browser_path: Path | None,
    targets: tuple[str, ...],
    target_images: int | None,
    force: bool,
    architecture: str | None,
    dataset: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Check each ARTIFACT against the checkpoint it came from, on all test images.

    A folder stands for what its manifest.json lists, which may come from several checkpoints.

    One that was altered, or that answers differently from the trained model, fails: the exit code is 1 and stderr
    says why. With --baseline, so does one that answers correctly more rarely than the one that was recorded, by
    McNemar's test on the same images.
    """
    if target_images is not None and not targets:
        raise click.UsageError(options.TARGET_IMAGES_ALONE)
    from mnist_edge.atomic import transaction
    from mnist_edge.cli.artifacts import checkpoints_of, expand
    from mnist_edge.cli.progress import steps

    paths = expand(artifacts)
    made_from = checkpoints_of(paths) if checkpoint is None else dict.fromkeys(paths, checkpoint)
    _keep_apart(html, junit_file, *paths, *made_from.values(), *filter(None, (baseline_file,)))
    outputs.check_outputs((html, outputs.HTML), (junit_file, outputs.JUNIT), force=force)
    environment = _environment() if html else None
    _check_given(made_from)
    torch_setup.wait_passively()
    with steps() as on_step:
        on_step(
            "answers with the trained models" if len({*made_from.values()}) > 1 else "answers with the trained model"
        )
        from mnist_edge.exporting.report.junit import junit
        from mnist_edge.parity.baseline import read_baseline
        from mnist_edge.parity.browser import read_in_browser
        from mnist_edge.parity.devices import read_on_devices
        from mnist_edge.parity.reference import load_reference
        from mnist_edge.parity.steps import of_file
        from mnist_edge.parity.verify import verify_path, with_baseline

        devices = options.named_targets(targets, _formats_of(paths).values())
        pages = _pages(paths) if browser or browser_path else []
        baseline = read_baseline(baseline_file) if baseline_file else None
        loaded = {
            each: load_reference(each, data_dir, architecture, dataset) for each in dict.fromkeys(made_from.values())
        }
        references = [loaded[made_from[path]] for path in paths]
        if baseline:
            for path, reference in zip(paths, references, strict=True):
                baseline.entry(path.name, reference.test_set, len(reference.images))
        reports = []
        for path, reference in zip(paths, references, strict=True):
            step = of_file(path.name, on_step)
            report = verify_path(path, reference, layers=layers, on_step=step)
            if devices:
                report = read_on_devices(report, reference, devices, images=target_images, on_step=step)
            if path in pages:
                report = read_in_browser(report, reference, browser_path, on_step=step)
            reports.append(with_baseline(report, reference, baseline) if baseline else report)
    with transaction() as changes:
        if html and environment:
            from mnist_edge.exporting.report.html import html_report

            changes.write(html, html_report(reports, references, environment))
        if junit_file:
            changes.write(junit_file, junit(reports))
    if as_json:
        say_json([report.to_json() for report in reports])
    else:
        _print(reports)
    _report_problems(reports, loaded)
    if not all(reports):
        sys.exit(1)


def _environment() -> "Environment":
    """Return what a page says of where and when it was made; raises `UserError` before the work, not after it."""
    from mnist_edge.exporting.report.environment import Environment

    return Environment.here()


def _check_given(made_from: Mapping[Path, Path]) -> None:
    """Raise `UserError` where a file has no checkpoint, and name the file if it is missing too; or torch is missing.

    The extra that is named then is that of a file's format, which brings torch and more.
    """
    from mnist_edge.errors import UserError

    if importlib.util.find_spec("torch") is None:
        for spec in _formats_of(list(made_from)).values():
            spec.check_installed("verify")
    for path, checkpoint in made_from.items():
        if not checkpoint.exists():
            if not path.exists():
                raise UserError(f"{path}: No such file or directory")
            raise UserError(
                f"no checkpoint at {checkpoint}: name the one that {path} was exported from, with --checkpoint"
            )


def _pages(paths: list[Path]) -> list[Path]:
    """Return the files that a browser can open; a usage error where there are none."""
    pages = [path for path, spec in _formats_of(paths).items() if spec.browser]
    if not pages:
        raise click.UsageError("none of these files is a page: leave out --browser, or name a file of page.")
    return pages


def _formats_of(paths: list[Path]) -> "dict[Path, FormatSpec]":
    """Return the formats of the files whose names tell it; the others fail by themselves."""
    from mnist_edge.errors import UnknownFormatError
    from mnist_edge.formats.registry import format_of

    found = {}
    for path in paths:
        with contextlib.suppress(UnknownFormatError):
            found[path] = format_of(path)
    return found


def _keep_apart(html: Path | None, junit_file: Path | None, *given: Path) -> None:
    """Refuse a report that would be written over another file of the command line."""
    taken = {os.path.realpath(path) for path in given}  # which takes a loop of links for a name as any other
    for target in (html, junit_file):
        if target is not None:
            if os.path.realpath(target) in taken:
                raise click.UsageError(f"A report would be written over {target}: name another file.")
            taken.add(os.path.realpath(target))


def _print(reports: "list[ParityReport]") -> None:
    from mnist_edge.cli.layout import fits, print_tables
    from mnist_edge.cli.tables import changed_table, device_table, layer_table, report_table, verdict_table

    together = report_table(reports)
    details = [together] if fits(together) else [report_table([report]) for report in reports]
    changed = [changed_table(report) for report in reports if report.statistics and report.statistics.changed]
    layers = [layer_table(report.path, report.layers) for report in reports if report.layers is not None]
    devices = [device_table(report) for report in reports if report.devices]
    print_tables([*details, *changed, *layers, *devices, verdict_table(reports)])


def _report_problems(reports: "list[ParityReport]", references: "Mapping[Path, Reference]") -> None:
    for checkpoint, reference in references.items():
        if reference.doubt:
            note(f"{checkpoint}: {reference.doubt}")
    note_few_images(reports)
    for report in reports:
        for problem in report.problems:
            note(f"{report.path}: {problem}")
        if report.layers_unavailable_reason:
            note(f"{report.path}: no layerwise comparison: {report.layers_unavailable_reason}")
