"""The judgement whether an artifact gives the trained model's answers. Names no format.

from mnist_edge import parity

parity.assert_same(net, "model.onnx", images)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_edge.parity.same import assert_same

__all__ = ["assert_same"]

if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> object:
        """Import the assertion, and PyTorch with it, when it is first asked for (PEP 562)."""
        if name == "assert_same":
            from mnist_edge.parity.same import assert_same

            return assert_same
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
