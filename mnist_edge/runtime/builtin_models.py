"""The models that come with the package, and which model `predict` uses when none is named."""

from pathlib import Path

from mnist_edge.artifact.manifest import read_manifest

_MODELS = Path(__file__).parent.parent / "models"

BUILTIN_MODELS = {"mlp": _MODELS / "mnist-mlp-int8.onnx", "cnn": _MODELS / "mnist-cnn-int8.onnx"}
"""The models by name: `cnn` reads better, `mlp` is the quicker."""

DEFAULT_MODEL = BUILTIN_MODELS["mlp"]
"""The one that is used unless another is named."""

EXPORTS = Path("exports")
"""Where exports go, seen from the current folder."""


def default_model(exports: Path = EXPORTS) -> Path:
    """Return the ONNX file that was exported last into `exports`, or the built-in model where there is none.

    Raises:
        UserError: the folder's manifest can't be understood.
    """
    files = [exports / entry["file"] for entry in read_manifest(exports) if entry["format"] == "onnx"]
    present = [file for file in files if file.exists()]
    return present[-1] if present else DEFAULT_MODEL
