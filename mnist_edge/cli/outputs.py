"""What commands write: which suffix its name may have, and which file may be replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mnist_edge.errors import UserError

_HEAD_BYTES = 4096
"""Every mark of `OutputKind.marks` is among the first bytes of its file."""


@dataclass(frozen=True)
class OutputKind:
    """A kind of file that commands write.

    Attributes:
        name: of one of them, in a message.
        marks: for each suffix that its name may have, the bytes by which a file that mnist-edge wrote is known.
    """

    name: str
    marks: Mapping[str, bytes]

    def wrote(self, path: Path) -> bool:
        """Say whether a file is one of this kind that mnist-edge wrote, or empty, so that nothing is lost with it."""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return not head or self.marks[path.suffix] in head


_PNG_MARK = b"Software\0mnist-edge"
"""Keyword and text of a tEXt chunk (PNG specification, third edition, 11.3.3)."""

_JPEG_MARK = b"\xff\xfe\0\x0cmnist-edge"
"""A comment segment: marker, length with itself, text (ITU-T T.81, B.2.4.5)."""

CHECKPOINT = OutputKind("a checkpoint", {".safetensors": b'{"__metadata__":{"mnist_edge":'})
HISTORY = OutputKind("a training's history", {".csv": b"epoch,train_loss,validation_accuracy,learning_rate\n"})
FIGURE = OutputKind("a figure", {".png": _PNG_MARK, ".svg": b"<dc:title>mnist-edge</dc:title>"})
SHEET = OutputKind("a picture", {".png": _PNG_MARK, ".jpg": _JPEG_MARK, ".jpeg": _JPEG_MARK})
_HTML_MARK = b'<meta name="generator" content="mnist-edge">'
HTML = OutputKind("a report", {".html": _HTML_MARK, ".htm": _HTML_MARK})
C_HEADER = OutputKind("a preprocessing in C", {".h": b'" of mnist-edge a second time, in C99'})
JUNIT = OutputKind("a report", {".xml": b'name="mnist-edge verify"'})


class OutputPath(click.Path):
    """The name of a file to write, refused before any work is done where its suffix is not one of its kind."""

    def __init__(self, kind: OutputKind) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the path."""
        if Path(value).suffix not in self.kind.marks:
            self.fail(f"{str(value)!r} does not end in {' or '.join(self.kind.marks)}", param, ctx)
        return super().convert(value, param, ctx)


force = click.option("--force", is_flag=True, help="Also replace files that mnist-edge did not write.")


def check_outputs(*outputs: tuple[Path | None, OutputKind], force: bool) -> None:
    """Find out before the work whether what a command will write can be written, and replaces nothing of others.

    Args:
        outputs: targets, None where one is not asked for, and what is to be written there.
        force: whether a file that mnist-edge did not write may be replaced.

    Raises:
        UserError: a target can't be written, or holds a file that mnist-edge did not write.
    """
    from mnist_edge.atomic import check_writable

    for target, kind in outputs:
        if target is None:
            continue
        check_writable(target)
        if not force and target.exists() and not kind.wrote(target):
            raise UserError(f"{target} is not {kind.name} of mnist-edge: name another file, or replace it with --force")
