"""The models that come with the package, and the file that the name of a model stands for."""

import os
from pathlib import Path

from mnist_edge.errors import UserError

_MODELS = Path(__file__).parent.parent / "models"

BUILTIN_MODELS = {"mlp": _MODELS / "mnist-mlp-int8.onnx", "cnn": _MODELS / "mnist-cnn-int8.onnx"}
"""The models by name: `cnn` reads better, `mlp` is the quicker."""

DEFAULT_MODEL = BUILTIN_MODELS["mlp"]
"""The one that is used unless another is named,"""

DEFAULT_NUMBER_MODEL = BUILTIN_MODELS["cnn"]
"""and the one that then reads numbers: one mistake in any of its digits makes a number wrong."""


def model_path(model: str | os.PathLike[str]) -> Path:
    """Return the file of a built-in model by its name, or the path of an exported artifact as it is.

    Raises:
        UserError: it is neither; the message has the names of the built-in models, and the nearest one.
    """
    name = os.fspath(model)
    if name in BUILTIN_MODELS:
        return BUILTIN_MODELS[name]
    path = Path(name)
    if path.name != name or path.suffix or (name and path.exists()):  # an empty one would be this folder
        return path
    import difflib  # a device that names its model right should not pay for it

    nearest = difflib.get_close_matches(name, BUILTIN_MODELS, n=1)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    raise UserError(
        f"there is no model {name!r}: expected a built-in one ({', '.join(BUILTIN_MODELS)}) or an exported file{meant}"
    )
