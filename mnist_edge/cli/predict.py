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

if TYPE_CHECKING:
    from mnist_edge.runtime.parallel import Item
    from mnist_edge.runtime.prediction import Prediction, Status
    from mnist_edge.runtime.recognizer import Recognizer

PROGRESS_EVERY = 0.1
"""Seconds between two counts on stderr."""

STDIN = "-"
"""Stands for standard input: the bytes of one picture, or the list of names."""


@click.command()
@click.argument("pictures", nargs=-1, metavar="PICTURE...")
@click.option("--recursive", is_flag=True, help="Also read the pictures in subfolders.")
@click.option("--files-from", metavar="FILE", help="Read the names in FILE, a line each; - is standard input.")
@click.option("--null", is_flag=True, help="Names in --files-from end with a NUL, as `find -print0` writes them.")
@click.option(
    "--model",
    help="An exported ONNX file, or a built-in model: mlp or cnn.  [default: the latest in ./exports, else mlp]",
)
@click.option(
    "--min-confidence",
    type=options.Finite(0, 1),
    metavar="SHARE",
    help="An answer with less is `uncertain`.  [default: calibrated with the model]",
)
@click.option("--json", "form", flag_value="json", help="Print a list of objects.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print an object on each line, as soon as it is known.")
@click.option("--csv", "form", flag_value="csv", help="Print a header and comma-separated rows.")
@click.option("--quiet", "form", flag_value="quiet", help="Print only the digits, and - where there is none.")
@click.option("--top-k", type=click.IntRange(1, 10), metavar="N", help="Tell the N likeliest digits.")
@click.option(
    "--explain", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.png", help="Draw how a picture was read."
)
@click.option("--preview", is_flag=True, help="Show on stderr the 28×28 pixels that the model saw.")
@click.option("--selfcheck", is_flag=True, help="First check that the model gives here what it must; else stop.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Processes that read.")
@version.option
def command(
    pictures: tuple[str, ...],
    recursive: bool,
    files_from: str | None,
    null: bool,
    model: str | None,
    min_confidence: float | None,
    form: str | None,
    top_k: int | None,
    explain: Path | None,
    preview: bool,
    selfcheck: bool,
    jobs: int,
) -> None:
    """Read the digit in each PICTURE: a file, a folder, a 'pattern*', or - for a picture on standard input.

    What went wrong with a picture is told on stderr; the others are still answered.

    Exit codes: 0, all are answered; 1, a picture has no answer, or nothing could be done; 2, the command line is wrong;
    3, all are answered, but an answer is uncertain.
    """
    names = _names(pictures, recursive, files_from, null)
    recognizer = _open(model, min_confidence, quiet=form == "quiet")
    if selfcheck:
        _check(recognizer)
    if explain or preview:
        names = _explained(recognizer, list(names), explain, preview)
    if code := _tell(recognizer, names, form or "table", top_k or 0, jobs):
        sys.exit(code)


def _open(model: str | None, min_confidence: float | None, quiet: bool) -> "Recognizer":
    """Open the model and name it on stderr."""
    gc.disable()  # all that the imports make stays: looking for garbage in it takes a twentieth of a cold start
    from mnist_edge.runtime.builtin_models import BUILT_INS, default_model
    from mnist_edge.runtime.recognizer import Recognizer

    gc.enable()
    chosen = BUILT_INS.get(model, Path(model)) if model else default_model()
    recognizer = Recognizer(chosen, min_confidence=min_confidence)
    if not quiet:
        click.echo(f"model: {'built-in ' + chosen.name if chosen in BUILT_INS.values() else chosen}", err=True)
    return recognizer


def _check(recognizer: "Recognizer") -> None:
    """Run the model's golden vectors.

    Raises:
        UserError: it gives other numbers here than it must.
    """
    from mnist_edge.errors import UserError
    from mnist_edge.runtime.selfcheck import selfcheck

    check = selfcheck(recognizer.model.path)
    if not check:
        raise UserError(
            f"{check.path} gives other numbers here than it must (|Δlogit| {check.max_error:.3g}, allowed "
            f"{check.bound:g}): see `mnist-edge selfcheck`, and do not use it on this device"
        )


def _names(pictures: tuple[str, ...], recursive: bool, files_from: str | None, null: bool) -> "Iterator[Item]":
    """Return the names of all pictures: those on the command line, then those listed; for `-`, the bytes themselves."""
    if not pictures and files_from is None:
        raise click.UsageError("Missing argument 'PICTURE...'.")
    if null and files_from is None:
        raise click.UsageError("--null goes with --files-from.")
    if files_from == STDIN and STDIN in pictures:
        raise click.UsageError("Standard input can't be both a picture and a list of names.")
    from mnist_edge.cli.inputs import expand, listed, standard_input

    def every() -> "Iterator[Item]":
        for name in expand(pictures, recursive):
            yield standard_input() if name == STDIN else name
        if files_from is not None:
            yield from listed(None if files_from == STDIN else files_from, null)

    return every()


def _explained(
    recognizer: "Recognizer", pictures: "list[Item]", target: Path | None, preview: bool
) -> "Iterator[Item]":
    """Draw the picture's steps to `target`, and show on stderr what the model sees of each, before the answers."""
    from mnist_edge.cli.visualize import draw, show

    if target:
        if len(pictures) != 1:
            raise click.UsageError(f"--explain draws one picture, not {len(pictures)}.")
        if target.exists() and isinstance(pictures[0], str) and target.samefile(pictures[0]):
            raise click.UsageError(f"--explain would write over the picture itself, {target}.")
        draw(recognizer, pictures[0], target)
    if preview:
        for picture in pictures:
            show(picture)
    return iter(pictures)


def _tell(recognizer: "Recognizer", pictures: "Iterator[Item]", form: str, top: int, jobs: int) -> int:
    """Print the answers as they come and return the exit code. Where nobody reads them any more, end quietly."""
    from mnist_edge.cli.formatters import FORMS, longest

    known = list(pictures) if form == "table" else None  # its columns depend on all names
    seen: set[Status] = set()
    answers = _answers(recognizer, pictures if known is None else known, jobs)
    reported = _reported(answers, seen, None if known is None else len(known))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names may be any bytes
    read = _print(FORMS[form](reported, top, longest(known or [])), at_once=form == "jsonl")
    return _exit_code(seen) if read else 0


def _print(lines: Iterable[str], at_once: bool) -> bool:
    """Write lines to stdout; return whether somebody read them to the end.

    Raises:
        UserError: stdout can't be written to.
    """
    from mnist_edge.errors import UserError

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


def _answers(recognizer: "Recognizer", pictures: "Iterable[Item]", jobs: int) -> "Iterator[Prediction]":
    if jobs == 1:
        return recognizer.stream(pictures)
    from mnist_edge.runtime.parallel import stream

    return stream(recognizer, pictures, jobs)


def _reported(answers: "Iterable[Prediction]", seen: "set[Status]", total: int | None) -> "Iterator[Prediction]":
    """Pass answers on, telling on stderr what is wrong with them and how far it went, and collect their statuses."""
    from mnist_edge.cli.inputs import shown

    counting = sys.stderr.isatty() and not sys.stdout.isatty()
    of_total = "" if total is None else f" of {total:,}"
    told = time.monotonic()
    for count, answer in enumerate(answers, start=1):
        seen.add(answer.status)
        if answer.digit is None:
            path = STDIN if answer.path is None else shown(answer.path)
            click.echo(f"{path}: {answer.status}: {answer.message}", err=True)
        if counting and time.monotonic() - told > PROGRESS_EVERY:
            told = time.monotonic()
            click.echo(f"\r{count:,}{of_total} ", nl=False, err=True)
        yield answer
    if counting:
        click.echo("\r\x1b[K", nl=False, err=True)


def _exit_code(seen: "set[Status]") -> int:
    if "no_digit" in seen or "unreadable" in seen:
        return 1
    return 3 if "uncertain" in seen else 0
