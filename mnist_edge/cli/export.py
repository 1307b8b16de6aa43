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
@click.option("--quantize", is_flag=True, help="Also write int8 versions.")
@click.option("--scheme", help="Quantise in this way instead of the best: see the table that --quantize prints.")
@click.option(
    "--max-logit-error",
    type=options.Finite(min=0),
    metavar="LOGITS",
    help="Goal: the largest |Δlogit|, such as 1e-4.",
)
@click.option(
    "--min-agreement",
    type=options.Finite(min=0, max=100),
    metavar="PERCENT",
    help="Goal: the least share of images with the trained model's answer, such as 99.9.",
)
@click.option(
    "--max-accuracy-drop",
    type=options.Finite(min=0),
    metavar="POINTS",
    help="Goal: by how many percentage points the accuracy may be lower, such as 0.05.",
)
@click.option("--max-bytes", type=click.IntRange(min=1), help="Goal: the largest size of a quantised file.")
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
    scheme: str | None,
    max_logit_error: float | None,
    min_agreement: float | None,
    max_accuracy_drop: float | None,
    max_bytes: int | None,
    opset: int | None,
    output: Path,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Export CHECKPOINT (what `train` wrote, unless another is named).

    Every file is compared with the trained model on all 10,000 test images before it gets its name. If one differs,
    none is written and what was there stays. Goals come on top of the tolerance of each precision; to miss one is to
    differ. --quantize makes a file in each way that the format has, and keeps the one that answers most like the
    trained model.
    """
    if not quantize and (scheme is not None or max_bytes is not None):
        raise click.UsageError("--scheme and --max-bytes go with --quantize.")
    from mnist_edge.cli.tables import artefact_table, candidate_table, print_table
    from mnist_edge.exporting.pipeline import OPSET, export
    from mnist_edge.formats.registry import FORMATS
    from mnist_edge.parity.comparison import Goals
    from mnist_edge.parity.reference import load_reference

    reference = load_reference(checkpoint, data_dir)
    formats = [format for name, format in FORMATS.items() if name in names or "all" in names]
    precisions = ["fp32", "int8"] if quantize else ["fp32"]
    goals = Goals(
        max_error=max_logit_error,
        min_agreement=None if min_agreement is None else min_agreement / 100,
        max_accuracy_drop=None if max_accuracy_drop is None else max_accuracy_drop / 100,
        max_bytes=max_bytes,
    )
    artefacts = export(reference, formats, precisions, output, opset or OPSET, goals, scheme)
    if as_json:
        click.echo(json.dumps([artefact.to_json() for artefact in artefacts], indent=2))
        return
    for artefact in artefacts:
        if artefact.candidates:
            print_table(candidate_table(artefact))
    print_table(artefact_table(artefacts))
