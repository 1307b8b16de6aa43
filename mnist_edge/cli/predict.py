"""`mnist-edge predict`: pictures in, digits out."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options, outputs, recognition, version
from mnist_edge.cli.answers import STREAMED, print_answers
from mnist_edge.cli.formatters import FORMATTERS, STDIN, Layout, longest
from mnist_edge.cli.inputs import Report, expand, listed, standard_input
from mnist_edge.cli.output import note
from mnist_edge.errors import UserError
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS

if TYPE_CHECKING:
    from mnist_edge.runtime.parallel import FileSource
    from mnist_edge.runtime.prediction import Status
    from mnist_edge.runtime.recognizer import Recognizer


@click.command()
@click.argument("pictures", nargs=-1, metavar="PICTURE...", shell_complete=options.files_or())
@click.option("-r", "--recursive", is_flag=True, help="Also read the pictures in subfolders.")
@click.option(
    "--files-from",
    metavar="FILE",
    shell_complete=options.files_or(),
    help="Read the names in FILE, a line each; - is standard input.",
)
@click.option("-0", "--null", is_flag=True, help="Names in --files-from end with a NUL, as `find -print0` writes them.")
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=options.files_or(*BUILTIN_MODELS),
    help="A built-in model, mlp or cnn, or the path of an exported file.  [default: mlp; cnn with --number]",
)
@click.option(
    "--min-confidence",
    type=options.Finite(0, 1),
    metavar="SHARE",
    help="An answer with less is `uncertain`.  [default: calibrated with the model]",
)
@click.option(
    "-f",
    "--format",
    "format_name",
    type=click.Choice(list(FORMATTERS)),
    default="table",
    show_default=True,
    help="How answers are printed.",
)
@click.option("--number", is_flag=True, help="Read all digits of each picture, in reading order, as a number.")
@click.option("-k", "--top-k", type=click.IntRange(min=1), metavar="N", help="Print the N most probable digits.")
@click.option(
    "--visualize",
    "sheet",
    type=outputs.OutputPath(outputs.SHEET),
    metavar="OUT.png",
    help="Draw how the picture was read, to a .png or .jpg file.",
)
@outputs.force
@click.option("--show-input", is_flag=True, help="Show on stderr the pixels that the model was given.")
@click.option("--selfcheck", is_flag=True, help="First check that the model gives the right numbers here; else stop.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Number of processes."
)
@click.option("-q", "--quiet", is_flag=True, help="Do not name the model on stderr; it always names what went wrong.")
@version.option
def command(
    pictures: tuple[str, ...],
    recursive: bool,
    files_from: str | None,
    null: bool,
    model: str | None,
    min_confidence: float | None,
    format_name: str,
    number: bool,
    top_k: int | None,
    sheet: Path | None,
    force: bool,
    show_input: bool,
    selfcheck: bool,
    jobs: int,
    quiet: bool,
) -> None:
    """Read the digit in each PICTURE: a file, a folder, a 'pattern*', or - for a picture on standard input.

    What went wrong with a picture is reported on stderr; the others are still answered.

    Exit codes: 0, all are answered; 1, a picture has no answer, or nothing could be done; 2, the command line is wrong;
    3, all are answered, but an answer is uncertain.
    """
    if (sheet or show_input) and jobs > 1:
        raise click.UsageError("--visualize and --show-input go with --jobs 1.")
    if top_k is not None and format_name == "digits":
        raise click.UsageError("--top-k goes with another --format than digits, which has room for one.")
    if number and (top_k is not None or show_input):
        raise click.UsageError("--top-k and --show-input are for pictures of one digit, without --number.")
    missed: set[Status] = set()

    def report(folder: str, reason: str) -> None:
        from mnist_edge.runtime.prediction import Status

        missed.add(Status.UNREADABLE)
        note(f"{folder}: {reason}")

    names = _names(pictures, recursive, files_from, null, report)
    if sheet:
        names = iter([_only_one(names, sheet)])
        outputs.check_outputs((sheet, outputs.SHEET), force=force)
    recognizer = _open(model, min_confidence, number=number, quiet=quiet or format_name == "digits")
    if selfcheck:
        _check(recognizer)
    known = list(names) if format_name == "table" else None  # the width of its first column depends on all names
    labels = recognizer.runner.contract.task.labels
    layout = Layout(min(top_k or 0, len(labels)), longest(known or []), labels, _columns())
    total, at_once = None if known is None else len(known), format_name in STREAMED
    todo = names if known is None else iter(known)
    if number:
        from mnist_edge.cli.number_formatters import NUMBER_FORMATTERS

        numbers, lines = recognition.numbers(recognizer, todo, jobs, sheet), NUMBER_FORMATTERS[format_name]
        code = print_answers(numbers, missed, total, lines, layout, at_once=at_once)
    else:
        answers = recognition.answers(recognizer, todo, jobs, sheet, show_input)
        code = print_answers(answers, missed, total, FORMATTERS[format_name], layout, at_once=at_once)
    if code:
        sys.exit(code)


def _names(
    pictures: tuple[str, ...], recursive: bool, files_from: str | None, null: bool, report: Report
) -> "Iterator[FileSource]":
    """Return the names of all pictures: those on the command line, then those listed; for `-`, the bytes themselves."""
    if not pictures and files_from is None:
        raise click.UsageError("Missing argument 'PICTURE...'.")
    if null and files_from is None:
        raise click.UsageError("--null goes with --files-from.")
    if files_from == STDIN and STDIN in pictures:
        raise click.UsageError("Standard input can't be both a picture and a list of names.")

    def every() -> "Iterator[FileSource]":
        for name in expand(pictures, recursive, report):
            yield standard_input() if name == STDIN else name
        if files_from is not None:
            yield from listed(None if files_from == STDIN else files_from, null)

    return every()


def _columns() -> int | None:
    """Return how wide the terminal is that stdout is, or None where it is none."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _only_one(names: "Iterator[FileSource]", sheet: Path) -> "FileSource":
    """Return the one picture that is to be drawn, which the sheet must not replace."""
    pictures = list(names)
    if len(pictures) != 1:
        raise click.UsageError(f"--visualize draws one picture, not {len(pictures)}.")
    (picture,) = pictures
    if isinstance(picture, str) and _is_same_file(sheet, picture):
        raise click.UsageError(f"--visualize would write over the picture itself, {sheet}.")
    return picture


def _is_same_file(sheet: Path, picture: str) -> bool:
    try:
        return sheet.samefile(picture)
    except (OSError, ValueError):  # one of them is not there, or can't be
        return False


def _open(model: str | None, min_confidence: float | None, *, number: bool, quiet: bool) -> "Recognizer":
    """Open the model, or the built-in one for a digit or a number, and name it on stderr."""
    gc.disable()  # all that the imports create stays: looking for garbage in it takes a twentieth of a cold start
    from mnist_edge.runtime.builtin_models import DEFAULT_MODEL, DEFAULT_NUMBER_MODEL, model_path
    from mnist_edge.runtime.recognizer import Recognizer

    gc.enable()
    default = DEFAULT_NUMBER_MODEL if number else DEFAULT_MODEL
    chosen = default if model is None else model_path(model)
    recognizer = Recognizer(chosen, min_confidence=min_confidence)
    if not quiet:
        name = f"built-in {chosen.name}" if chosen in BUILTIN_MODELS.values() else str(chosen)
        note(f"model: {name}")
    return recognizer


def _check(recognizer: "Recognizer") -> None:
    """Run the test vectors of the model on the runner that will answer.

    Raises:
        UserError: it gives other numbers here than it must.
    """
    from mnist_edge.runtime.selfcheck import selfcheck

    check = selfcheck(recognizer.artifact.path, recognizer.runner)
    if not check:
        raise UserError(
            f"{check.path} gives other numbers here than it must (|Δlogit| {check.max_abs_diff:.3g}, allowed "
            f"{check.bound:g}), with the right answer to {check.agreement} of {check.images} images: "
            "see `mnist-edge selfcheck`, and do not use it on this device"
        )
