"""A TorchScript archive, run by libtorch in a sandbox after its text was checked. Needs torch."""

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.formats.archives import metadata_of, pack_archive
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.sandboxed import sandboxed_runner
from mnist_edge.formats.torchscript.archive import read_archive
from mnist_edge.sandbox.client import open_session

SESSION = "mnist_edge.formats.torchscript.session"


def open_runner(bundle: Bundle) -> Runner:
    """Open a TorchScript archive.

    Raises:
        ArtifactError: its code calls what no small network needs, torch can't load it, or it carries no contract that
            is understood here.
    """
    members = read_archive(bundle.data)
    metadata = metadata_of(members)
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    session = open_session(SESSION, pack_archive(members))
    return sandboxed_runner(session, contract, metadata)
