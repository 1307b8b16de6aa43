"""`mnist-edge import`: weights that were trained elsewhere, and the code of their network, to a checkpoint."""

import csv
import math
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import data_options, edge, options, outputs, torch_setup
from mnist_edge.cli.output import note, say, say_json

if TYPE_CHECKING:
    from mnist_edge.training.checkpoint import Checkpoint
    from mnist_edge.training.metrics import Evaluation


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers, separated by commas."""

    name = "numbers"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(map(float, value.split(",")))
        except ValueError:
            numbers = ()
        if not numbers or not all(map(math.isfinite, numbers)):
            self.fail(
                f"{value!r}, expected one number, or one for each channel, separated by commas: 0.485,0.456,0.406",
                param,
                ctx,
            )
        return numbers


class Labels(click.ParamType[tuple[str, ...]]):
    """Labels, separated by commas; one that has a comma itself is quoted, as in CSV."""

    name = "labels"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the labels, in Unicode's composed form, as those of a folder are."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(next(csv.reader([unicodedata.normalize("NFC", value)]), ()))
        except csv.Error:  # over the end of a line
            self.fail(f"{value!r}, expected labels in one line, separated by commas", param, ctx)


@click.command("import")
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--arch",
    "architecture",
    type=options.Architecture(builtin=False),
    required=True,
    help="The network's code, which is run, as a file or as package.module:NAME.",
)
@click.option(
    "--labels",
    type=Labels(),
    metavar="LABEL,...",
    show_default="the folder's, sorted by code point",
    help="For a folder: its labels in the order of the network's outputs, one with a comma in quotation marks.",
)
@click.option("--mean", type=Numbers(), metavar="NUMBER,...", help="Mean that the images were normalized with.")
@click.option("--std", type=Numbers(), metavar="NUMBER,...", help="Standard deviation that they were normalized with.")
@click.option(
    "-o",
    "--output",
    type=outputs.OutputPath(outputs.CHECKPOINT),
    show_default="checkpoints/<task>-<arch>.safetensors",
    help="The checkpoint to write.",
)
@outputs.force
@options.license_of_weights
@data_options.options_of_data
@options.data_dir
@options.as_json
@edge.read_to_the_end()
def command(
    weights: Path,
    architecture: str,
    labels: tuple[str, ...] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    output: Path | None,
    force: bool,
    license_: str,
    dataset: str,
    image_size: int | None,
    color: bool,
    preprocessing: str | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Write a checkpoint of a network that was trained elsewhere, from its WEIGHTS.

    WEIGHTS is what torch.save(model.state_dict(), FILE) or safetensors wrote; no code is run from it. With --mean and
    --std, the normalization becomes the network's first layer, so that every export takes images in [0, 1]. Its
    temperature and thresholds are fitted on the validation images, its accuracy is measured on the test images.
    """
    from mnist_edge.artifact.names import file_stem, recorded_name

    if mean is not None and std is None:
        raise click.UsageError("--mean goes with --std: give --std too; 1 if the images were only centered.")
    if std is not None and mean is None:
        raise click.UsageError("--std goes with --mean: give --mean too; 0 if the images were only scaled.")
    source = data_options.open_data(dataset, data_dir, 0, image_size, color, preprocessing, labels)
    task = source.task
    output = output or Path(f"checkpoints/{file_stem(task, recorded_name(architecture))}.safetensors")
    outputs.check_outputs((output, outputs.CHECKPOINT), force=force)
    torch_setup.wait_passively()
    from mnist_edge.cli.progress import steps

    with steps() as on_step:
        on_step("reads weights and data")
        from mnist_edge.parity.evaluate import evaluate, open_checkpoint
        from mnist_edge.training.architectures.normalization import Normalization
        from mnist_edge.training.architectures.own import load_architecture
        from mnist_edge.training.checkpoint import save_checkpoint
        from mnist_edge.training.importing import calibrated, import_weights

        own = load_architecture(architecture)
        own = replace(own, normalization=Normalization.given(mean, std, task.input.shape[0]))
        data = data_options.noted(source.load_training_data())
        imported = import_weights(weights, own, task, data, license_)
        on_step("fits temperature and thresholds")
        checkpoint = calibrated(imported, data.validation)
        on_step("answers the test images")
        measured = evaluate(open_checkpoint(output, checkpoint), source.load_test_data())
        save_checkpoint(output, checkpoint)
    _report(output, checkpoint, measured, as_json=as_json)


def _report(output: Path, checkpoint: "Checkpoint", measured: "Evaluation", *, as_json: bool) -> None:
    from mnist_edge.training.importing import doubt_of

    if doubt := doubt_of(checkpoint, measured.accuracy):
        note(f"{output}: {doubt}")
    if not checkpoint.thresholds.energy:
        note(
            f"{output}: its logits say nothing of how unusual an image is: answers are uncertain by their margin alone"
        )
    if as_json:
        say_json(
            {
                "checkpoint": str(output),
                "sha256": checkpoint.digest,
                "temperature": checkpoint.temperature,
                "energy_threshold": checkpoint.thresholds.energy,
                "margin_threshold": checkpoint.thresholds.margin,
                "test": measured.to_json(),
            }
        )
        return
    low, high = measured.interval
    say(
        f"{output}: {measured.accuracy:.2%} of the {measured.images:,} test images (95 %: {low:.2%} – {high:.2%}), "
        f"temperature {checkpoint.temperature:g}"
    )
