"""A header, compiled by a C compiler of this machine; it is written again for that, from numbers that were checked."""

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.formats.c.host import open_host
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.runner import Runner


def open_runner(bundle: Bundle) -> Runner:
    """Open a header.

    Raises:
        ArtifactError: it is not what mnist-edge writes, or can't be compiled here.
    """
    header = read(bundle)
    metadata = {CONTRACT_KEY: header.contract.to_json(), TEST_VECTORS_KEY: header.vectors_json}
    return Runner(header.contract, metadata, open_host(header).logits_of_floats)
