"""The edge of the program: what goes wrong outside it ends in one line on stderr and an exit code.

That is what a user, a full disk, a small machine or a signal does. A bug keeps its traceback.
"""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from mnist_edge.cli.output import lead_nowhere, readable_errors
from mnist_edge.errors import UserError
from mnist_edge.outside import Terminated, shortage_line

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as a shell has it."""

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as a shell has it."""

UNREAD = 128 + 13
"""Exit code of a verdict that nobody reads to the end, as a shell has it after SIGPIPE."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing to stdout or to another open file meets, whose name the system does not give."""

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "safetensors": "train",
    "sklearn": "train",
    "scipy": "train",
    "rich": "train",
    "matplotlib": "train",
    "ml_dtypes": "export",
    "onnx": "export",
    "onnxscript": "export",
    "google": "export",
    "jinja2": "report",
    "optuna": "tune",
    "sqlalchemy": "tune",
    "tensorboard": "tensorboard",
    "unicorn": "mcu",
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "litert",
    "executorch": "executorch",
    "flatbuffers": "litert",
    "litert_torch": "litert",
    "ncnn": "ncnn",
    "openvino": "openvino",
    "playwright": "browser",
    "pnnx": "ncnn",
    "torchao": "executorch",
    "wasmtime": "mcu",
    "ziglang": "mcu",
}
"""The extra of mnist-edge that brings a package, by the name under which that is imported."""

_ALSO_TRAIN = {"tune": "tune"}
"""Sub-commands that need more than the extra `train`, and the extra that brings both."""


class _Interrupted(click.ClickException):
    """Ctrl-C."""

    exit_code = INTERRUPTED


@contextmanager
def reported() -> Iterator[None]:
    """Turn what goes wrong outside the program into what click reports in one line.

    In the block Ctrl-C raises `KeyboardInterrupt`, as Python has it.
    """
    outside = signal.getsignal(signal.SIGINT)
    try:
        try:
            if outside is _quit:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            with readable_errors(), _as_click_exceptions():
                yield
        finally:
            if outside is _quit:
                signal.signal(signal.SIGINT, outside)
    except KeyboardInterrupt as error:
        raise _Interrupted("interrupted") from error


_READ_BY_LIBRARIES = ("MPLBACKEND", "SOURCE_DATE_EPOCH")


@contextmanager
def settled_environment() -> Iterator[None]:
    """Make the environment one that libraries can bear, which read it as they are imported; restore it behind.

    An empty `SOURCE_DATE_EPOCH` is taken for a number. A backend of Matplotlib that is not there, such as Jupyter's
    in `MPLBACKEND`, keeps it from being imported, and commands only draw files.

    Raises:
        UserError: `SOURCE_DATE_EPOCH` is not a time.
    """
    before = {name: os.environ[name] for name in _READ_BY_LIBRARIES if name in os.environ}
    try:
        os.environ["MPLBACKEND"] = "agg"
        if os.environ.get("SOURCE_DATE_EPOCH"):
            from mnist_edge.source_date import source_date

            source_date()
        else:
            os.environ.pop("SOURCE_DATE_EPOCH", None)
        yield
    finally:
        for name in _READ_BY_LIBRARIES:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def read_to_the_end() -> Iterator[None]:
    """End a command that judges or makes something with `UNREAD`, not 0, where nobody reads what it says anymore.

    It may have been about to say that something failed, or have had much to do yet.
    """
    try:
        yield
    except BrokenPipeError:
        silence_broken_stdout()
        sys.exit(UNREAD)


@contextmanager
def _as_click_exceptions() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        if (package := (error.name or "").partition(".")[0]) not in EXTRAS:
            raise
        command = click.get_current_context().invoked_subcommand or ""
        extra = EXTRAS[package]
        extra = _ALSO_TRAIN.get(command, extra) if extra == "train" else extra
        raise click.ClickException(
            f"`mnist-edge {command}` needs {error.name}, which is not installed: pip install 'mnist-edge[{extra}]'"
        ) from error
    except (OSError, MemoryError, ImportError, RuntimeError, SystemError) as error:
        if (found := _from_outside(error)) is None:
            raise
        raise found from error


def _from_outside(error: BaseException) -> BaseException | None:
    """Return what to raise where the system refused something, or has too little of it; None where that is not why."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):  # which an import of native code wraps
            return KeyboardInterrupt()
        if isinstance(cause, OSError):
            return _of_system(cause)
        if isinstance(cause, MemoryError):
            return click.ClickException("there is not enough memory")
        if line := shortage_line(cause):
            return click.ClickException(f"there is not enough memory, or too few files may be open: {line}")
        cause = cause.__cause__
    return None


def _of_system(error: OSError) -> BaseException:
    """Return what to raise after the system refused something; where nobody reads stdout any more, that is the end."""
    if isinstance(error, BrokenPipeError):
        silence_broken_stdout()
        return click.exceptions.Exit(0)
    named = isinstance(error.filename, str | bytes)
    about = os.fsdecode(error.filename) if named else "cannot write" if error.errno in _FULL else ""
    return click.ClickException(": ".join(filter(None, (about, error.strerror or str(error)))))


def silence_broken_stdout() -> bool:
    """Write out what stdout still holds; where it takes nothing, let it lead nowhere, and return whether that is so."""
    try:
        sys.stdout.flush()
    except OSError:
        lead_nowhere(sys.stdout.fileno())
        return True
    return False


def open_missing_streams() -> None:
    """Give the program streams that lead nowhere in place of those that a service was started without."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - it stays open to the end


def end_on_ctrl_c() -> None:
    """Let Ctrl-C end the program with its line between the blocks that report it, where click would say "Aborted!"."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)


def _quit(*_: object) -> None:
    os.write(sys.stderr.fileno(), b"Error: interrupted\n")  # a stream that is being written to can't be entered again
    sys.exit(INTERRUPTED)


def end_on_sigterm() -> None:
    """Let SIGTERM end the program as Ctrl-C does, with what is temporary removed, unless something else was set up."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise Terminated(TERMINATED)


def exit_code(ended: SystemExit | OSError) -> int:
    """Return the exit code of a program that ends, which is 1 where it could not say why.

    From here on, signals end it at once.
    """
    for name in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(name)):
            signal.signal(name, signal.SIG_DFL)
    reason = ended.code if isinstance(ended, SystemExit) else 1
    code = reason if isinstance(reason, int) else int(reason is not None)
    if silence_broken_stdout():
        code = code or 1
    try:
        sys.stderr.flush()
    except OSError:  # there is nobody to tell
        lead_nowhere(sys.stderr.fileno())
    return code
