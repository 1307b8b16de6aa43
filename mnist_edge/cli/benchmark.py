"""`mnist-edge benchmark`: exported files in, what each costs on this machine out."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options, outputs
from mnist_edge.cli.output import note, say, say_json, say_wrapped
from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from mnist_edge.benchmark.answers import Answers
    from mnist_edge.benchmark.costs import Costs

EXPORTS = Path("exports")
"""The folder whose artifacts are measured where none is named."""

DEFAULT_TARGET = "cortex-m4"
"""The emulated device on which C headers are measured unless others are named."""


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often each is measured.")
@click.option(
    "--figure",
    type=outputs.OutputPath(outputs.FIGURE),
    help="Also draw accuracy against size and latency, to a .png or .svg file.",
)
@options.targets("Also measure the files")
@outputs.force
@options.data_dir
@options.as_json
def command(
    files: tuple[Path, ...],
    rounds: int,
    figure: Path | None,
    targets: tuple[str, ...],
    force: bool,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Measure what each exported FILE costs here: time to the first answer, latency, throughput, memory, bytes.

    Without a FILE, all that exports/ lists and the built-in models are measured; a folder stands for what its
    manifest.json lists. Each is measured in processes of its own, on one thread, in turns with the others, and C
    headers on an emulated cortex-m4 too, where its emulator is installed. How right the answers are comes from the
    manifest, or is measured where the packages for training are installed.
    """
    outputs.check_outputs((figure, outputs.FIGURE), force=force)
    if figure and importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--figure needs matplotlib: pip install 'mnist-edge[train]', or leave it out.")
    from mnist_edge.benchmark.costs import machine, measure
    from mnist_edge.cli.progress import steps

    paths = _chosen(files)
    devices = _devices(targets, paths)
    with steps() as on_step:
        costs = measure(
            paths,
            rounds=rounds,
            targets=devices,
            answers_of=lambda path: _measured_answers(path, data_dir),
            on_step=on_step,
        )
    if figure:
        from mnist_edge.benchmark.pareto import pareto_figure
        from mnist_edge.training.figures import save_figure

        save_figure(pareto_figure(costs), figure)
    if as_json:
        say_json({"machine": machine(), "rounds": rounds, "costs": [cost.to_json() for cost in costs]})
        return
    _print(costs, rounds)


def _chosen(files: tuple[Path, ...]) -> list[Path]:
    """Return the artifacts to measure; of those that nobody named, only what can be run here.

    Raises:
        UserError: there are none.
    """
    from mnist_edge.artifact.manifest import read_manifest
    from mnist_edge.cli.artifacts import expand
    from mnist_edge.formats.registry import format_of
    from mnist_edge.runtime.builtin_models import BUILTIN_MODELS

    if files:
        return expand(files)
    paths = []
    for path in [*(expand([EXPORTS]) if read_manifest(EXPORTS) else []), *BUILTIN_MODELS.values()]:
        spec = format_of(path)
        if missing := spec.missing_to_run():
            note(f"{path} is left out: {', '.join(missing)} not installed; {spec.install_to_run}")
        else:
            paths.append(path)
    if not paths:
        raise UserError("nothing can be measured: install what is missing, or name a file that can be run here")
    return paths


def _devices(names: tuple[str, ...], paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the emulated devices to measure on: those that were named, or one, where its emulator is installed."""
    from mnist_edge.formats.registry import format_of

    specs = {format_of(path).name: format_of(path) for path in paths}.values()
    if names:
        return options.named_targets(names, specs)
    known = any(DEFAULT_TARGET in spec.targets for spec in specs)
    return (DEFAULT_TARGET,) if known and all(map(importlib.util.find_spec, ("unicorn", "ziglang"))) else ()


def _measured_answers(path: Path, data_dir: Path) -> "Answers | None":
    """Return an artifact's answers to the test images, or None where what that needs is not here."""
    if importlib.util.find_spec("torch") is None:
        return None
    from mnist_edge.benchmark.answers import Answers
    from mnist_edge.parity.evaluate import evaluate, load_test_images, open_model

    try:
        model = open_model(path)
        measured = evaluate(model, load_test_images([model], data_dir))
    except UserError as error:
        note(f"{path}: its accuracy is not known: {error}")
        return None
    return Answers(measured.images, measured.accuracy)


def _print(costs: "Sequence[Costs]", rounds: int) -> None:
    from mnist_edge.benchmark.costs import machine

    here = machine()
    say_wrapped(
        f"{here['processor']}, {here['cores']} cores, {here['system']} on {here['architecture']}, "
        f"Python {here['python']}"
    )
    say_wrapped(f"medians of {rounds} rounds, in turns, each in a process of its own, on one thread")
    say()
    if importlib.util.find_spec("rich") is None:
        for cost in costs:
            _print_lines(cost)
        return
    from mnist_edge.cli.cost_tables import answer_table, cost_table, device_cost_table
    from mnist_edge.cli.layout import print_tables

    devices = [device_cost_table(costs)] if any(cost.devices for cost in costs) else []
    print_tables([answer_table(costs), cost_table(costs), *devices])


def _print_lines(cost: "Costs") -> None:
    """Print the figures of an artifact where there is nothing that draws tables."""
    from mnist_edge.benchmark.readable import readable_answers, readable_costs

    say_wrapped(f"{cost.path}")
    for figures in (readable_answers(cost), readable_costs(cost)):
        say_wrapped("  " + ", ".join(f"{name} {figure}" for name, figure in figures.items()))
