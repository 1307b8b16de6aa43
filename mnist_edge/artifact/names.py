"""Names of architectures: those of the registry, and `net.py:Net` or `package.module:Net` for a network of one's own.

Importing this imports no PyTorch.
"""

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.artifact.contract import Task

BUILTIN_ARCHITECTURES = ("mlp", "cnn")
"""The architectures of the registry."""

_PRECISIONS = ("fp32", "fp16", "int8", "int4")
"""What the names of exported files end with, after that of the architecture."""


def is_own(architecture: str) -> bool:
    """Say whether a name stands for code outside this package: a file or a module, a colon, and what it defines."""
    home, colon, definition = architecture.rpartition(":")
    return bool(colon and home and definition)


def recorded_name(architecture: str) -> str:
    """Return the name under which checkpoints and contracts record an architecture: without the folders of its file."""
    home, _, definition = architecture.rpartition(":")
    return f"{PurePath(home).name}:{definition}" if is_own(architecture) and home.endswith(".py") else architecture


def file_stem(task: "Task", architecture: str) -> str:
    """Return how the names of the files of a model begin: `mnist-mlp`, or `mnist-net` for `net.py:Net`."""
    return f"{task.name}-{_short_name(architecture)}"


def _short_name(architecture: str) -> str:
    """Return an architecture as a part of a file's name; one's own never has the name of a built-in one."""
    if not is_own(architecture):
        return architecture
    home, _, definition = architecture.rpartition(":")
    short = _slug(definition)
    if _is_builtin(short) or not short:
        short = f"{_slug(PurePath(home).name.removesuffix('.py'))}-{short}".strip("-")
    return f"net-{short}" if _is_builtin(short) else short or "net"


def _is_builtin(short: str) -> bool:
    """Say whether a name is that of a built-in architecture, or of a file of one in some precision."""
    name, _, precision = short.partition("-")
    return name in BUILTIN_ARCHITECTURES and precision in ("", *_PRECISIONS)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
