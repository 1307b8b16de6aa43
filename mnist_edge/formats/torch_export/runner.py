"""A `torch.export` program in PyTorch. Needs torch."""

import io

import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import BATCH, CONTRACT_KEY, Contract
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.base import Runner
from mnist_edge.formats.logs import quiet
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open a `.pt2` archive.

    Raises:
        ArtifactError: torch can't load it, or it carries no contract that is understood here.
    """
    metadata = {CONTRACT_KEY: "", TEST_VECTORS_KEY: ""}
    program = load_program(bundle.data, metadata)
    module = program.module()
    contract = Contract.from_json(metadata[CONTRACT_KEY] or None)

    def predict(images: Images) -> Logits:
        try:
            with torch.inference_mode():
                logits: Logits = module(torch.from_numpy(images)).numpy()
        except (RuntimeError, AssertionError) as error:
            raise ArtifactError(f"torch cannot run a batch of {len(images)} ({str(error).splitlines()[0]})") from error
        return logits

    carried = {key: text for key, text in metadata.items() if text}
    return Runner(contract, carried, predict, tuple(_io_mismatches(program, contract)))


def _io_mismatches(program: torch.export.ExportedProgram, contract: Contract) -> list[str]:
    """Return a line for each way in which the program's inputs are not as the contract says."""
    names = program.graph_signature.user_inputs
    inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(inputs) != 1 or len(program.graph_signature.user_outputs) != 1:
        return ["the program has not 1 input and 1 output"]
    batch, *image = inputs[0].shape
    shape = (batch if isinstance(batch, int) else BATCH, *image)
    if shape == contract.input_shape and inputs[0].dtype == torch.float32:
        return []
    return [f"the program's input is {inputs[0].dtype} {shape}, its contract says {contract.input_shape}"]


def load_program(data: bytes, metadata: dict[str, str]) -> torch.export.ExportedProgram:
    """Return the program of an archive, and fill in what it carries under the keys of `metadata`.

    Raises:
        ArtifactError: torch can't load the file.
    """
    try:
        with quiet("torch.export"):  # it logs a traceback before it raises
            return torch.export.load(io.BytesIO(data), extra_files=metadata)
    except (RuntimeError, ValueError, KeyError, AssertionError, UnicodeDecodeError) as error:
        raise ArtifactError(f"torch cannot load it ({(str(error).splitlines() or ['damaged'])[0]})") from error
