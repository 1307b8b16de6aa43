"""The ways out. Adding one is adding one file and one entry here; export, verify and evaluate follow."""

from pathlib import Path

from mnist_edge.errors import UserError
from mnist_edge.export.format import Format
from mnist_edge.export.onnx_format import ONNX
from mnist_edge.export.torchscript_format import TORCHSCRIPT

FORMATS: dict[str, Format] = {format.name: format for format in (ONNX, TORCHSCRIPT)}


def format_of(path: Path) -> Format:
    """Return the format of an exported file, told by its suffix.

    Raises:
        UserError: no format has that suffix.
    """
    for format in FORMATS.values():
        if path.suffix == format.suffix:
            return format
    known = ", ".join(f"{format.suffix} ({format.name})" for format in FORMATS.values())
    raise UserError(f"cannot tell the format of {path} by its suffix {path.suffix!r}: expected one of {known}")
