"""The versions of the preprocessing by the key that a contract names; importing the registry imports none of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from mnist_edge.preprocessing.result import Preprocessing
    from mnist_edge.types import TensorSpec

PREPROCESSINGS: dict[str, str] = {
    "mnist/3": "mnist_edge.preprocessing.mnist_v3",
    "resize/1": "mnist_edge.preprocessing.resize_v1",
}
"""The package of each version. A version never changes: one that gives other numbers gets a key of its own."""


C_HEADERS: dict[str, str] = {"mnist/3": "mnist_v3/mnist_v3.h", "resize/1": "resize_v1/resize_v1.h"}
"""The file of those versions that exist in C too, in this folder."""


def c_header(key: str) -> str:
    """Return a version of the preprocessing as a C99 header, which gives the bytes that Python gives.

    Raises:
        UserError: there is none of that key.
    """
    if key not in C_HEADERS:
        raise UserError(f"there is no preprocessing {key!r} in C: expected {' or '.join(C_HEADERS)}")
    from importlib import resources  # most runs have no use for it

    return resources.files(__package__).joinpath(C_HEADERS[key]).read_text(encoding="utf-8")


class _Package(Protocol):
    """What the package of a version offers."""

    def for_input(self, tensor: "TensorSpec") -> "Preprocessing":
        """Return the preprocessing for an input as near to this as the version can give; may raise `UserError`."""


def load_preprocessing(key: str, tensor: "TensorSpec") -> "Preprocessing":
    """Import the version of this key, for a model whose input this is.

    Raises:
        UserError: there is none, or it gives no input of that shape.
    """
    if key not in PREPROCESSINGS:
        raise UserError(f"there is no preprocessing {key!r}: expected one of {', '.join(PREPROCESSINGS)}")
    return cast("_Package", import_module(PREPROCESSINGS[key])).for_input(tensor)
