"""`mnist-edge predict`: pictures in, digits out."""

import gc
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnist_edge.cli import options, version
from mnist_edge.cli.formatters import FORMATTERS, STDIN, Formatter, Layout, longest
from mnist_edge.cli.inputs import expand, listed, shown, standard_input
from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from mnist_edge.runtime.parallel import FileSource
    from mnist_edge.runtime.prediction import Prediction, Status
    from mnist_edge.runtime.recognizer import Inspection, Recognizer

PROGRESS_SECONDS = 0.1
"""Time between two counts on stderr."""


@click.command()
@click.argument("pictures", nargs=-1, metavar="PICTURE...")
@click.option("--recursive", is_flag=True, help="Also read the pictures in subfolders.")
@click.option("--files-from", metavar="FILE", help="Read the names in FILE, a line each; - is standard input.")
@click.option("-0", "--null", is_flag=True, help="Names in --files-from end with a NUL, as `find -print0` writes them.")
@click.option(
    "--model",
    help="An exported file, or a built-in model: mlp or cnn.  [default: the latest in ./exports, else mlp]",
)
@click.option(
    "--min-confidence",
    type=options.Finite(0, 1),
    metavar="SHARE",
    help="An answer with less is `uncertain`.  [default: calibrated with the model]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATTERS)),
    default="table",
    show_default=True,
    help="How answers are printed.",
)
@click.option("--top-k", type=click.IntRange(min=1), metavar="N", help="Print the N most probable digits.")
@click.option(
    "--visualize",
    "sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.png",
    help="Draw how the picture was read.",
)
@click.option("--show-input", is_flag=True, help="Show on stderr the pixels that the model was given.")
@click.option("--selfcheck", is_flag=True, help="First check that the model gives the right numbers here; else stop.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Number of processes.")
@version.option
def command(
    pictures: tuple[str, ...],
    recursive: bool,
    files_from: str | None,
    null: bool,
    model: str | None,
    min_confidence: float | None,
    format_name: str,
    top_k: int | None,
    sheet: Path | None,
    show_input: bool,
    selfcheck: bool,
    jobs: int,
) -> None:
    """Read the digit in each PICTURE: a file, a folder, a 'pattern*', or - for a picture on standard input.

    What went wrong with a picture is reported on stderr; the others are still answered.

    Exit codes: 0, all are answered; 1, a picture has no answer, or nothing could be done; 2, the command line is wrong;
    3, all are answered, but an answer is uncertain.
    """
    if (sheet or show_input) and jobs > 1:
        raise click.UsageError("--visualize and --show-input go with --jobs 1.")
    names = _names(pictures, recursive, files_from, null)
    if sheet:
        names = iter([_only_one(names, sheet)])
    recognizer = _open(model, min_confidence, quiet=format_name == "digits")
    if selfcheck:
        _check(recognizer)
    known = list(names) if format_name == "table" else None  # the width of its first column depends on all names
    answers = _answers(recognizer, names if known is None else iter(known), jobs, sheet, show_input)
    labels = recognizer.runner.contract.task.labels
    layout = Layout(min(top_k or 0, len(labels)), longest(known or []), labels)
    if code := _print_answers(answers, None if known is None else len(known), FORMATTERS[format_name], layout):
        sys.exit(code)


def _names(pictures: tuple[str, ...], recursive: bool, files_from: str | None, null: bool) -> "Iterator[FileSource]":
    """Return the names of all pictures: those on the command line, then those listed; for `-`, the bytes themselves."""
    if not pictures and files_from is None:
        raise click.UsageError("Missing argument 'PICTURE...'.")
    if null and files_from is None:
        raise click.UsageError("--null goes with --files-from.")
    if files_from == STDIN and STDIN in pictures:
        raise click.UsageError("Standard input can't be both a picture and a list of names.")

    def every() -> "Iterator[FileSource]":
        for name in expand(pictures, recursive):
            yield standard_input() if name == STDIN else name
        if files_from is not None:
            yield from listed(None if files_from == STDIN else files_from, null)

    return every()


def _only_one(names: "Iterator[FileSource]", sheet: Path) -> "FileSource":
    """Return the one picture that is to be drawn, which the sheet must not replace."""
    pictures = list(names)
    if len(pictures) != 1:
        raise click.UsageError(f"--visualize draws one picture, not {len(pictures)}.")
    (picture,) = pictures
    if sheet.exists() and isinstance(picture, str) and sheet.samefile(picture):
        raise click.UsageError(f"--visualize would write over the picture itself, {sheet}.")
    return picture


def _open(model: str | None, min_confidence: float | None, quiet: bool) -> "Recognizer":
    """Open the model and name it on stderr."""
    gc.disable()  # all that the imports create stays: looking for garbage in it takes a twentieth of a cold start
    from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, default_model
    from mnist_edge.runtime.recognizer import Recognizer

    gc.enable()
    chosen = BUILTIN_MODELS.get(model, Path(model)) if model else default_model()
    recognizer = Recognizer(chosen, min_confidence=min_confidence)
    if not quiet:
        name = f"built-in {chosen.name}" if chosen in BUILTIN_MODELS.values() else str(chosen)
        click.echo(f"model: {name}", err=True)
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
            f"{check.bound:g}): see `mnist-edge selfcheck`, and do not use it on this device"
        )


def _answers(
    recognizer: "Recognizer", pictures: "Iterator[FileSource]", jobs: int, sheet: Path | None, show_input: bool
) -> "Iterator[Prediction]":
    """Return the answers in order, each computed when it is asked for; draw and show what was seen if that is wanted.

    Raises:
        UserError: the sheet can't be written.
    """
    if sheet or show_input:
        return _inspected(recognizer, pictures, sheet, show_input)
    if jobs == 1:
        return recognizer.stream(pictures)
    from mnist_edge.runtime.parallel import stream

    return stream(recognizer, pictures, jobs)


def _inspected(
    recognizer: "Recognizer", pictures: "Iterator[FileSource]", sheet: Path | None, show_input: bool
) -> "Iterator[Prediction]":
    """Draw one picture to the sheet, and yield answers, each after what the model was given was shown on stderr."""
    from mnist_edge.cli import visualize

    inspections: Iterator[Inspection] = map(recognizer.inspect, pictures)
    if sheet:
        drawn = next(inspections)
        visualize.draw(drawn, sheet)
        inspections = iter([drawn])

    def every() -> "Iterator[Prediction]":
        for inspection in inspections:
            if show_input:
                visualize.show_input(inspection)
            yield inspection.prediction

    return every()


def _print_answers(answers: "Iterable[Prediction]", total: int | None, formatter: Formatter, layout: Layout) -> int:
    """Print the answers as they come and return the exit code, 0 where nobody reads them to the end."""
    seen: set[Status] = set()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names may be any bytes
    lines = formatter(_reported(answers, seen, total), layout)
    return _exit_code(seen) if _print(lines, at_once=formatter is FORMATTERS["jsonl"]) else 0


def _print(lines: Iterable[str], at_once: bool) -> bool:
    """Write lines to stdout; return whether somebody read them to the end.

    Raises:
        UserError: stdout can't be written to.
    """
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
            if at_once:
                sys.stdout.flush()
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        if isinstance(error, BrokenPipeError):
            return False
        raise UserError(f"cannot write the answers: {error.strerror}") from error
    return True


def _reported(answers: "Iterable[Prediction]", seen: "set[Status]", total: int | None) -> "Iterator[Prediction]":
    """Yield answers unchanged; report failures and progress on stderr, and collect the statuses."""
    counting = sys.stderr.isatty() and not sys.stdout.isatty()
    of_total = "" if total is None else f" of {total:,}"
    last_count = time.monotonic()
    for count, answer in enumerate(answers, start=1):
        seen.add(answer.status)
        if answer.label is None:
            path = STDIN if answer.path is None else shown(answer.path)
            click.echo(f"{path}: {answer.status}: {answer.message}", err=True)
        if counting and time.monotonic() - last_count > PROGRESS_SECONDS:
            last_count = time.monotonic()
            click.echo(f"\r{count:,}{of_total} ", nl=False, err=True)
        yield answer
    if counting:
        click.echo("\r\x1b[K", nl=False, err=True)


def _exit_code(seen: "set[Status]") -> int:
    if "no_digit" in seen or "unreadable" in seen:
        return 1
    return 3 if "uncertain" in seen else 0
