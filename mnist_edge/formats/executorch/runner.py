"""An ExecuTorch program, run by ExecuTorch's Python runtime in a sandbox. Needs executorch and torch."""

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.sandboxed import sandboxed_runner
from mnist_edge.sandbox.client import Session, open_session

SESSION = "mnist_edge.formats.executorch.session"

MAX_BYTES = 64 << 20
"""Most bytes of a program."""

_IDENTIFIER = b"ET12"
"""The file identifier of the schema (`executorch/schema/program.fbs`)."""


def open_runner(bundle: Bundle) -> Runner:
    """Open a `.pte` file.

    Raises:
        ArtifactError: it is not a program, ExecuTorch can't load it, or it carries no contract that is understood here.
    """
    session = open_program(bundle.data)
    try:
        metadata, _ = session.call("texts")
        contract = Contract.from_json(metadata.get(CONTRACT_KEY))
        mismatches = _io_mismatches(session, contract)
    except ArtifactError:
        session.close()
        raise
    return sandboxed_runner(session, contract, metadata, mismatches)


def open_program(data: bytes) -> Session:
    """Open a program; raises `ArtifactError` where that can't be done."""
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    if data[4:8] != _IDENTIFIER:
        raise ArtifactError("it is not an ExecuTorch program")
    return open_session(SESSION, data)


def _io_mismatches(session: Session, contract: Contract) -> tuple[str, ...]:
    """Return a line for each way in which the program's inputs and outputs are not as the contract says."""
    found, _ = session.call("describe")
    promised = {"inputs": contract.input_shape, "outputs": contract.output_shape}
    return tuple(
        f"the program's {side} are {found[side]}, its contract says {[list(shape)]}"
        for side, shape in promised.items()
        if found[side] != [list(shape)]
    )
