"""`mnist-edge predict`: pictures in, digits out."""

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PICTURE...")
@click.option(
    "--model",
    help="An exported ONNX file, or a built-in model: mlp or cnn.  [default: the latest in ./exports, else mlp]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects for programs.")
def command(pictures: tuple[Path, ...], model: str | None, as_json: bool) -> None:
    """Read the digit in each PICTURE and print it with its confidence.

    A picture that gives no answer is told on stderr and leaves the exit code at 1; the others are still answered.
    """
    from mnist_edge.runtime.choice import BUILT_INS, default_model
    from mnist_edge.runtime.recognizer import Recognizer

    chosen = BUILT_INS.get(model, Path(model)) if model else default_model()
    recognizer = Recognizer(chosen)
    click.echo(f"model: {'built-in ' + chosen.name if chosen in BUILT_INS.values() else chosen}", err=True)
    answers = recognizer.predict(pictures)
    for answer in answers:
        if answer.digit is None:
            click.echo(f"{answer.path}: {answer.status}: {answer.message}", err=True)
    if as_json:
        click.echo(json.dumps([answer.to_json() for answer in answers], indent=2))
    else:
        for answer in answers:
            if answer.digit is not None and answer.confidence is not None:
                click.echo(f"{answer.path}: {answer.digit}  ({answer.confidence:.1%})")
    if any(answer.digit is None for answer in answers):
        sys.exit(1)
