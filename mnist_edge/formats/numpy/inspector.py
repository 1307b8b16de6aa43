"""What is read in a .npz: its layers, its weights, and the file without its metadata."""

from collections.abc import Mapping

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.build import Inspection
from mnist_edge.formats.c.header import NETWORK_KEY
from mnist_edge.formats.c.inspector import inspection_of
from mnist_edge.formats.numpy.archive import METADATA, read_members, read_metadata, read_network
from mnist_edge.formats.runner import Runner


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in a file; see `mnist_edge.formats.build.Inspector`."""
    _, network = read_network(read_members(bundle.data), runner.metadata)
    return inspection_of(network, runner.contract)


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return a file's layers and arrays; see `mnist_edge.formats.build.Inspector`."""
    members = read_members(bundle.data)
    network = read_metadata(members).get(NETWORK_KEY, "")
    return {"network": network.encode(), **{name: data for name, data in members.items() if name != METADATA}}
