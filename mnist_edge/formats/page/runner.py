"""The WebAssembly module of a page in wasmtime: the same code that a browser runs, without the page."""

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.figures import FIGURES_KEY, Figures
from mnist_edge.formats.page.document import read_metadata, read_module
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.wasm.runner import Module


def open_runner(bundle: Bundle) -> Runner:
    """Open a page.

    Raises:
        ArtifactError: it is not a page that mnist-edge wrote, or its module can't be run here.
    """
    metadata = read_metadata(bundle.data)
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    figures = Figures.from_json(metadata.get(FIGURES_KEY))
    return Runner(contract, metadata, Module(read_module(bundle.data), contract).predict, figures=figures)
