"""Where an ExecuTorch program has room for text: methods that take nothing and give a constant."""

from mnist_edge.artifact.checksum import CHECKSUM_KEY
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY

METHOD = "forward"
"""The method that computes logits."""

TEXTS = {key: key.replace(".", "_") for key in (CONTRACT_KEY, TEST_VECTORS_KEY, CHECKSUM_KEY)}
"""The methods that give texts, by the keys under which artifacts carry them."""

_ROOM = 2_048


def padded(text: str) -> str:
    """Return JSON with blanks behind it, so that the program around it is the same whatever versions it names."""
    return text.ljust(-(-len(text) // _ROOM) * _ROOM)
