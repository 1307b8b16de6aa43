"""What ends code from outside it: a signal, the system, or a lack of memory, descriptors or threads."""

import re
from pathlib import Path

from mnist_edge.errors import UserError

_SHORTAGE = re.compile(
    "allocate memory|unable to allocate|bad_?alloc|failed to map segment|too many open files|start new thread|"
    "resource temporarily unavailable|no space left",
    re.IGNORECASE,
)
"""What libraries say where memory, descriptors or threads are short, in exceptions of no type of their own."""


class Terminated(SystemExit):
    """SIGTERM, as the command line raises it, apart from code that ends the program by itself."""


def check_folder() -> None:
    """Raise `UserError` where the current folder was deleted, in which a library beneath torch ends the process."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UserError("the current folder no longer exists: change to one that does") from error


def shortage_line(error: BaseException) -> str | None:
    """Return the line of an exception's message that says what is short, or None where none does."""
    return next((line.strip() for line in str(error).splitlines() if _SHORTAGE.search(line)), None)


def is_from_outside(error: BaseException) -> bool:
    """Say whether an exception, or what caused it, is not the doing of the code that it was raised in.

    A system error is from outside where it names no file: a stream that takes nothing anymore, or a full disk.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt | Terminated | MemoryError) or shortage_line(cause) is not None:
            return True
        if isinstance(cause, OSError) and cause.errno is not None and cause.filename is None:
            return True
        cause = cause.__cause__
    return False
