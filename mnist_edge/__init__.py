"""Train a small digit classifier, export it where its answers agree with the trained model's, and read digits.

    from mnist_edge import Recognizer

    Recognizer().predict("digit.png").digit

Nothing heavy is imported before it is asked for: `Recognizer` needs onnxruntime, Pillow and numpy; `export`, `verify`
and `load_reference` need PyTorch and what the format needs.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.api import export, verify
    from mnist_edge.errors import UserError
    from mnist_edge.exporting.pipeline import Artifact
    from mnist_edge.parity.parity_report import ParityReport
    from mnist_edge.parity.reference import load_reference
    from mnist_edge.parity.tolerance import Goals
    from mnist_edge.runtime.number import Number
    from mnist_edge.runtime.prediction import Prediction, Status
    from mnist_edge.runtime.recognizer import Recognizer

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Goals",
    "Number",
    "ParityReport",
    "Prediction",
    "Recognizer",
    "Status",
    "UserError",
    "__version__",
    "export",
    "load_reference",
    "verify",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of the module's
    _HOMES = {
        "Artifact": "mnist_edge.exporting.pipeline",
        "Goals": "mnist_edge.parity.tolerance",
        "Number": "mnist_edge.runtime.number",
        "ParityReport": "mnist_edge.parity.parity_report",
        "Prediction": "mnist_edge.runtime.prediction",
        "Recognizer": "mnist_edge.runtime.recognizer",
        "Status": "mnist_edge.runtime.prediction",
        "UserError": "mnist_edge.errors",
        "export": "mnist_edge.api",
        "load_reference": "mnist_edge.parity.reference",
        "verify": "mnist_edge.api",
    }

    def __getattr__(name: str) -> object:
        """Import a public name from its home when it is first asked for (PEP 562)."""
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    _NEED_TORCH = ("mnist_edge.api", "mnist_edge.exporting", "mnist_edge.parity")

    def __dir__() -> list[str]:
        """List the public names; on a device without PyTorch those that work there, so that `help()` does too."""
        if importlib.util.find_spec("torch") is not None:
            return sorted(__all__)
        return sorted(name for name in __all__ if not _HOMES.get(name, "").startswith(_NEED_TORCH))
