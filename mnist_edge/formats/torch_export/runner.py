"""A `torch.export` program, run by PyTorch in a sandbox after its text was checked. Needs torch."""

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import BATCH, CONTRACT_KEY, Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.archives import metadata_of, pack_archive
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.sandboxed import sandboxed_runner
from mnist_edge.formats.torch_export.archive import SAMPLE_INPUTS, read_archive
from mnist_edge.formats.torch_export.sample import sample_inputs
from mnist_edge.sandbox.client import Session, open_session

SESSION = "mnist_edge.formats.torch_export.session"


def open_runner(bundle: Bundle) -> Runner:
    """Open a `.pt2` archive.

    Raises:
        ArtifactError: its graph calls what no small network needs, torch can't load it, or it carries no contract that
            is understood here.
    """
    members = read_archive(bundle.data)
    metadata = metadata_of(members)
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    sample = sample_inputs(contract.task.input.shape)
    session = open_session(SESSION, pack_archive({**members, SAMPLE_INPUTS: sample}))

    try:
        mismatches = _io_mismatches(session, contract)
    except ArtifactError:
        session.close()
        raise
    return sandboxed_runner(session, contract, metadata, mismatches)


def _io_mismatches(session: Session, contract: Contract) -> tuple[str, ...]:
    """Return a line for each way in which the program's inputs are not as the contract says."""
    found, _ = session.call("describe")
    if len(found["inputs"]) != 1 or found["outputs"] != 1:
        return (f"the program has {len(found['inputs'])} inputs and {found['outputs']} outputs, expected 1 of each",)
    shape = tuple(BATCH if side is None else side for side in found["inputs"][0])
    if shape == contract.input_shape:
        return ()
    return (f"the program's input is {shape}, its contract says {contract.input_shape}",)
