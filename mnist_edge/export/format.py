"""What a format is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.session import Predict


class ArtefactError(ValueError):
    """An exported file can't be loaded or run in its own runtime."""


@dataclass(frozen=True)
class Loaded:
    """An exported file, open in its own runtime.

    Attributes:
        contract: what the file says of itself.
        predict: images → logits; raises `ArtefactError` where the file does not take a batch.
        problems: a line for each way in which the file's structure is not as its contract says.
    """

    contract: Contract
    predict: Predict
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """One way out.

    Attributes:
        name: what the command line calls it.
        suffix: of its files, with the dot.
        precisions: those that it can be exported in.
        has_opset: whether its files are written for an ONNX opset.
        export: a model in `eval()` and the contract that the file shall carry → the file's bytes, not sealed yet.
        load: opens a file; raises `ArtefactError` where that can't be done.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    has_opset: bool
    export: Callable[[nn.Module, Contract], bytes]
    load: Callable[[Path], Loaded]
