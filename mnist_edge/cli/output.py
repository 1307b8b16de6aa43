"""Lines on stdout and stderr: what came from a file or a name can't steer the terminal, and any encoding takes it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click
from click.exceptions import NoArgsIsHelpError

from mnist_edge.text import printable, shorten, wrap

STAND_INS = dict(zip("Δ≤→–─∞█▀▄·…", ("d", "<=", "->", "-", "-", "inf", "#", "'", ",", ".", "..."), strict=True))
"""ASCII for characters of our own text, where the encoding of a stream lacks them."""


def encodable(text: str, stream: TextIO) -> str:
    """Return a text with a stand-in or an escape for each character that the encoding of a stream lacks."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    if _encodes(text, encoding):
        return text
    return "".join(
        character
        if _encodes(character, encoding)
        else STAND_INS.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in text
    )


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def say(text: object = "") -> None:
    """Print a line to stdout."""
    click.echo(encodable(printable(str(text)), sys.stdout))


def say_wrapped(text: str) -> None:
    """Print a line to stdout, and on a terminal that is narrower go on below, indented by two more columns."""
    shown = encodable(printable(text), sys.stdout)
    if not sys.stdout.isatty():
        click.echo(shown)
        return
    from shutil import get_terminal_size

    indent = " " * (len(shown) - len(shown.lstrip()) + 2)
    for line in wrap(shown, get_terminal_size().columns, indent):
        click.echo(line)


def note(text: object) -> None:
    """Print a line to stderr, of at most `mnist_edge.text.MAX_LINE` characters.

    Where stderr takes nothing, it leads nowhere from then on: what is only noted must cost no result.
    """
    try:
        click.echo(_note(str(text)), err=True)
    except OSError:
        lead_nowhere(sys.stderr.fileno())


def lead_nowhere(descriptor: int) -> None:
    """Let what is still to be written to a stream go nowhere, so that the interpreter does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def say_rendered(text: str) -> None:
    """Print lines to stdout whose words went through `printable` before they were laid out and styled."""
    click.echo(encodable(text, sys.stdout), nl=False)


def say_json(value: object) -> None:
    """Print a value as JSON to stdout, in ASCII.

    Raises:
        ValueError: it holds NaN or an infinity, for which JSON has no numbers.
    """
    import json

    click.echo(json.dumps(value, indent=2, allow_nan=False))


def styled(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that shows styles, and may (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Make the message of an error that click is about to print one line, as `note` prints it."""
    try:
        yield
    except (click.MissingParameter, NoArgsIsHelpError):
        raise  # has lines of its own, and nothing foreign in them
    except click.UsageError as error:
        raise click.UsageError(_note(error.format_message()), error.ctx) from error
    except click.ClickException as error:
        raise click.ClickException(_note(error.format_message())) from error


def _note(text: str) -> str:
    return encodable(shorten(printable(text)), sys.stderr)
