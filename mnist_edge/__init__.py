"""Train a small digit classifier, export it with proof, and read digits on a device.

    from mnist_edge import Recognizer

    Recognizer().predict("digit.png").digit

Nothing heavy is imported before it is asked for: `mnist_edge.training` needs PyTorch, `mnist_edge.export` also needs
ONNX, and `mnist_edge.runtime`, where `Recognizer` is from, needs only onnxruntime, Pillow and numpy.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.runtime.recognizer import Prediction, Recognizer, Status

__version__ = "0.1.0"

__all__ = ["Prediction", "Recognizer", "Status", "__version__"]


if not TYPE_CHECKING:  # a type checker would take any name for one of the module's

    def __getattr__(name: str) -> object:
        """Import what reads digits when it is first asked for (PEP 562)."""
        if name in __all__:
            return getattr(importlib.import_module("mnist_edge.runtime.recognizer"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
