"""The models that come with the package, and which model `predict` uses when none is named."""

from pathlib import Path

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import MANIFEST, read_manifest
from mnist_edge.errors import UserError
from mnist_edge.locks import locked
from mnist_edge.reading import read_bytes

_MODELS = Path(__file__).parent.parent / "models"

BUILTIN_MODELS = {"mlp": _MODELS / "mnist-mlp-int8.onnx", "cnn": _MODELS / "mnist-cnn-int8.onnx"}
"""The models by name: `cnn` reads better, `mlp` is the quicker."""

DEFAULT_MODEL = BUILTIN_MODELS["mlp"]
"""The one that is used unless another is named."""

EXPORTS = Path("exports")
"""Where exports go, seen from the current folder."""


def default_model(exports: Path = EXPORTS) -> Path:
    """Return the ONNX file that was exported last into `exports`, or the built-in model where there is none.

    An export into the folder at the same time is waited for, so that the file is the one that the manifest lists.

    Raises:
        UserError: the folder's manifest can't be understood, or the file is not the one that was exported.
    """
    with locked(exports, shared=True):
        entries = [entry for entry in read_manifest(exports) if entry["format"] == "onnx"]
        present: list[Path] = [exports / entry["file"] for entry in entries if (exports / entry["file"]).exists()]
        if not present:
            return DEFAULT_MODEL
        file = present[-1]
        if sha256(read_bytes(file)) not in [entry["sha256"] for entry in entries if entry["file"] == file.name]:
            raise UserError(
                f"{file} is not the file that {exports / MANIFEST} lists (its SHA-256 is another): "
                "export again, or name a model"
            )
    return file
