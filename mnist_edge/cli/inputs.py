"""The pictures that a command line names: files, folders, patterns, lists of names, standard input."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from io import BufferedReader
from typing import cast

import click

from mnist_edge.errors import UserError


def expand(arguments: Iterable[str], recursive: bool) -> Iterator[str]:
    """Yield the names of the pictures that are meant, sorted within a folder or pattern.

    A folder stands for the picture files in it, known by their suffix, and with `recursive` for those in its subfolders
    too; links to folders are not followed, so that circles end. A pattern is expanded where there is no file of that
    very name. What can't be expanded is yielded as it is, so that reading it says what is wrong.
    """
    for argument in arguments:
        if os.path.isfile(argument):  # noqa: PTH113 - Path would make ./-x.png of it
            yield argument
        elif os.path.isdir(argument):  # noqa: PTH112
            yield from _or(_folder(argument, recursive), argument)
        elif any(wildcard in argument for wildcard in "*?["):
            yield from _or(_matching(argument), argument)
        else:
            yield argument


def _or(names: Iterable[str], alternative: str) -> Iterator[str]:
    """Yield the names, or the alternative where there are none."""
    found = False
    for name in names:
        found = True
        yield name
    if not found:
        yield alternative


def _matching(pattern: str) -> list[str]:
    import glob

    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207


def _folder(folder: str, recursive: bool) -> Iterator[str]:
    from mnist_edge.preprocessing.picture_formats import SUFFIXES

    for parent, folders, files in os.walk(folder):
        folders.sort()
        if not recursive:
            folders.clear()
        for file in sorted(files):
            if os.path.splitext(file)[1].lower() in SUFFIXES:  # noqa: PTH122
                yield os.path.join(parent, file)  # noqa: PTH118


def listed(file: str | None, null: bool) -> Iterator[str]:
    """Yield the names in a file, or on standard input where that is None, each as soon as it has come.

    Names end with a newline, or with a NUL where `null`; empty ones are skipped. They may be any bytes.

    Raises:
        UserError: the file can't be read.
    """
    end = b"\0" if null else b"\n"
    try:
        with nullcontext(_stdin()) if file is None else open(file, "rb") as stream:  # noqa: PTH123
            rest = b""
            while part := stream.read1(1 << 16):
                *names, rest = (rest + part).split(end)
                yield from map(os.fsdecode, filter(None, (_stripped(name, null) for name in names)))
            if rest := _stripped(rest, null):
                yield os.fsdecode(rest)
    except OSError as error:
        raise UserError(f"cannot read the list of names {file}: {error.strerror}") from error


def _stripped(name: bytes, null: bool) -> bytes:
    return name if null else name.removesuffix(b"\r")


def standard_input() -> bytes:
    """Return the bytes of one picture on standard input, or enough of them to see that it is too large.

    Raises:
        click.UsageError: it is a terminal, or closed.
    """
    from mnist_edge.preprocessing.bounded_read import MAX_FILE_BYTES

    return _stdin().read(MAX_FILE_BYTES + 1)


def _stdin() -> BufferedReader:
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("Standard input is a terminal or closed: pipe something into it, or name a file.")
    return cast("BufferedReader", sys.stdin.buffer)


def shown(name: str) -> str:
    """Return a name on one line: what can't be printed is escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
