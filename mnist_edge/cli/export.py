"""`mnist-edge export`: checkpoint in, artefacts with proof out."""

import json
from pathlib import Path

import click

from mnist_edge.cli import options


@click.command()
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path), default=options.CHECKPOINT)
@click.option(
    "--format",
    "names",
    multiple=True,
    type=click.Choice(["onnx", "torchscript", "all"]),
    default=["onnx"],
    show_default=True,
    help="May be given more than once.",
)
@click.option("--quantize", is_flag=True, help="Also write dynamic int8 versions.")
@click.option("--opset", type=click.IntRange(min=1), help="ONNX opset of the files.  [default: 18]")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Folder to write to.",
)
@options.data_dir
@options.as_json
def command(
    checkpoint: Path,
    names: tuple[str, ...],
    quantize: bool,
    opset: int | None,
    output: Path,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Export CHECKPOINT (what `train` wrote, unless another is named).

    Every file is compared with the trained model on all 10,000 test images before it gets its name. If one differs,
    none is written and what was there stays.
    """
    from mnist_edge.cli.tables import artefact_table, print_table
    from mnist_edge.export.certainty import calibrated_certainty
    from mnist_edge.export.export import OPSET, export
    from mnist_edge.export.formats import FORMATS
    from mnist_edge.export.parity import make_reference
    from mnist_edge.training.checkpoint import load_checkpoint
    from mnist_edge.training.data import load_test_data, load_training_data

    trained = load_checkpoint(checkpoint)
    reference = make_reference(trained, load_test_data(data_dir))
    certainty = calibrated_certainty(trained, load_training_data(data_dir).validation)
    formats = [format for name, format in FORMATS.items() if name in names or "all" in names]
    precisions = ["fp32", "int8"] if quantize else ["fp32"]
    artefacts = export(reference, formats, precisions, output, opset or OPSET, certainty)
    if as_json:
        click.echo(json.dumps([artefact.to_json() for artefact in artefacts], indent=2))
    else:
        print_table(artefact_table(artefacts))
