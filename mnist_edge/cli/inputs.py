"""The pictures that a command line names: files, folders, patterns, lists of names, standard input."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from io import BufferedReader
from typing import cast

import click

from mnist_edge.errors import UserError

MAX_NAME_BYTES = 1 << 16
"""A name in a list is at most this long; systems allow 4,096 bytes for most. A device without an end has no names."""

_ANY_FOLDERS = re.compile(r"(?:^|(?<=[{0}]))(?:\*\*(?:[{0}]+|$))+".format(re.escape(os.sep + (os.altsep or ""))))
"""The part of a pattern that stands for any number of folders."""

Report = Callable[[str, str], None]
"""Takes the name of a folder and what is wrong with it."""


def expand(arguments: Iterable[str], recursive: bool, report: Report) -> Iterator[str]:
    """Yield the names of the pictures that are meant, sorted within a folder or pattern.

    A folder stands for the picture files in it, known by their suffix, and with `recursive` for those in its subfolders
    too; links to folders are not followed, there and by `**`, so that circles end. A pattern stands for the files that
    match it, where there is none of that very name. What can't be expanded is yielded as it is, so that reading it says
    what is wrong.

    Args:
        arguments: names of files and folders, and patterns.
        recursive: whether a folder stands for its subfolders too.
        report: is called for a folder that can't be read or holds no pictures.
    """
    for argument in arguments:
        if os.path.isfile(argument):  # noqa: PTH113 - Path would make ./-x.png of it
            yield argument
        elif os.path.isdir(argument):  # noqa: PTH112
            yield from _folder(argument, recursive, report)
        elif any(wildcard in argument for wildcard in "*?["):
            matching = (name for name in set(_matching(argument, report)) if not os.path.isdir(name))  # noqa: PTH112
            yield from sorted(matching) or [argument]
        else:
            yield argument


def _matching(pattern: str, report: Report) -> Iterator[str]:
    """Yield what matches a pattern as `glob.glob` does, but don't follow links to folders for `**`."""
    import glob

    found = _ANY_FOLDERS.search(pattern)
    if not found:
        yield from glob.glob(pattern)  # noqa: PTH207
        return
    start, rest = pattern[: found.start()], pattern[found.end() :] or "*"
    for base in glob.glob(start) if start else [""]:  # noqa: PTH207
        for folder in _walk(base, report):
            yield from _matching(os.path.join(glob.escape(folder), rest), report)  # noqa: PTH118


def _walk(base: str, report: Report) -> Iterator[str]:
    """Yield a folder, "" for the current one, and its subfolders that are not hidden, with a separator at their end."""
    for parent, folders, _ in os.walk(base or os.curdir, onerror=_reporting(report)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        name = parent if base else os.path.relpath(parent)
        yield "" if name == os.curdir else os.path.join(name, "")  # noqa: PTH118


def _folder(folder: str, recursive: bool, report: Report) -> Iterator[str]:
    """Yield the picture files in a folder; report those folders that can't be read, or that there are none at all."""
    from mnist_edge.preprocessing.picture_formats import SUFFIXES

    silent = True

    def unreadable(name: str, reason: str) -> None:
        nonlocal silent
        silent = False
        report(name, reason)

    for parent, folders, files in os.walk(folder, onerror=_reporting(unreadable)):
        folders.sort()
        if not recursive:
            folders.clear()
        for file in sorted(files):
            if os.path.splitext(file)[1].lower() in SUFFIXES:  # noqa: PTH122
                silent = False
                yield os.path.join(parent, file)  # noqa: PTH118
    if silent:
        report(folder, "there are no pictures in this folder" + ("" if recursive else "; --recursive reads subfolders"))


def _reporting(report: Report) -> Callable[[OSError], None]:
    """Return what `os.walk` calls with the error of a folder."""
    return lambda error: report(os.fsdecode(error.filename or ""), error.strerror or str(error))


def listed(file: str | None, null: bool) -> Iterator[str]:
    """Yield the names in a file, or on standard input where that is None, each as soon as it has come.

    Names end with a newline, or with a NUL where `null`; empty ones are skipped. They may be any bytes.

    Raises:
        UserError: the file can't be read, or a name in it is longer than `MAX_NAME_BYTES`.
    """
    end = b"\0" if null else b"\n"
    shown = "-" if file is None else file or "''"
    try:
        with nullcontext(_stdin()) if file is None else open(file, "rb") as stream:  # noqa: PTH123
            rest = b""
            while part := stream.read1(1 << 16):
                *names, rest = (rest + part).split(end)
                yield from map(os.fsdecode, filter(None, (_stripped(name, null) for name in names)))
                if len(rest) > MAX_NAME_BYTES:
                    raise UserError(f"cannot read the list of names {shown}: a name is too long")
            if rest := _stripped(rest, null):
                yield os.fsdecode(rest)
    except OSError as error:
        raise UserError(f"cannot read the list of names {shown}: {error.strerror}") from error


def _stripped(name: bytes, null: bool) -> bytes:
    return name if null else name.removesuffix(b"\r")


def standard_input() -> bytes:
    """Return the bytes of one picture on standard input, or enough of them to see that it is too large.

    Raises:
        UserError: it can't be read.
        click.UsageError: it is a terminal, or closed.
    """
    from mnist_edge.preprocessing.bounded_read import MAX_FILE_BYTES

    try:
        return _stdin().read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read standard input: {error.strerror}") from error


def _stdin() -> BufferedReader:
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("Standard input is a terminal or closed: pipe something into it, or name a file.")
    return cast("BufferedReader", sys.stdin.buffer)
