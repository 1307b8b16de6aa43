"""The answers of `mnist-edge predict` on their way out: lines on stdout, failures and progress on stderr, exit code."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from mnist_edge.cli.formatters import STDIN, Layout
from mnist_edge.cli.output import encodable, note
from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from mnist_edge.runtime.number import Number
    from mnist_edge.runtime.prediction import Prediction, Status

Answer = TypeVar("Answer", "Prediction", "Number")

PROGRESS_SECONDS = 0.1
"""Time between two counts on stderr."""

STREAMED = frozenset({"jsonl", "csv", "digits"})
"""Formats for programs that may act on each answer as it comes; a table is only begun when all names are known."""


def print_answers(
    answers: "Iterable[Answer]",
    seen: "set[Status]",
    total: int | None,
    formatter: "Callable[[Iterable[Answer], Layout], Iterator[str]]",
    layout: Layout,
    *,
    at_once: bool,
) -> int:
    """Print the answers as they come and return the exit code, 0 where nobody reads them to the end.

    Args:
        answers: one for each picture.
        seen: statuses, to which those of the answers are added.
        total: number of pictures, or None where it is not known.
        formatter: makes lines of them.
        layout: of the lines.
        at_once: whether each line is written as soon as it is known.
    """
    lines = formatter(_reported(answers, seen, total), layout)
    return _exit_code(seen) if _print(lines, at_once) else 0


def _print(lines: Iterable[str], at_once: bool) -> bool:
    """Write lines to stdout, each as soon as it is known if `at_once`; return whether somebody read them to the end.

    Raises:
        UserError: stdout can't be written to.
    """
    return all(_write(encodable(line, sys.stdout) + "\n", at_once) for line in lines) and _write("", flush=True)


def _write(text: str, flush: bool) -> bool:
    """Write to stdout; return whether somebody reads it. Errors of making the text don't come through here."""
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        if isinstance(error, BrokenPipeError):
            return False
        raise UserError(f"cannot write the answers: {error.strerror}") from error
    return True


def _reported(answers: "Iterable[Answer]", seen: "set[Status]", total: int | None) -> "Iterator[Answer]":
    """Yield answers unchanged; report failures and progress on stderr, and collect the statuses."""
    counting = sys.stderr.isatty() and not sys.stdout.isatty()
    of_total = "" if total is None else f" of {total:,}"
    last_count = time.monotonic()
    for count, answer in enumerate(answers, start=1):
        seen.add(answer.status)
        if answer.message:
            note(f"{STDIN if answer.path is None else answer.path}: {answer.status}: {answer.message}")
        if counting and time.monotonic() - last_count > PROGRESS_SECONDS:
            last_count = time.monotonic()
            _show_count(f"\r{count:,}{of_total} ")
        yield answer
    if counting:
        _show_count("\r\x1b[K")


def _show_count(text: str) -> None:
    """Write over the last line of the terminal, which stderr is."""
    sys.stderr.write(text)
    sys.stderr.flush()


def _exit_code(seen: "set[Status]") -> int:
    if "no_digit" in seen or "unreadable" in seen:
        return 1
    return 3 if "uncertain" in seen else 0
