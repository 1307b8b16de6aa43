"""What a format is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mnist_edge.export.weights import Stored
from mnist_edge.runtime.contract import Contract
from mnist_edge.runtime.golden import Golden
from mnist_edge.runtime.session import Predict


class ArtefactError(ValueError):
    """An exported file can't be loaded or run in its own runtime."""


@dataclass(frozen=True)
class Loaded:
    """An exported file, open in its own runtime.

    Attributes:
        contract: what the file says of itself.
        golden: the images that it carries, with the logits they must give.
        weights: what it stores, under the trained model's names.
        predict: images → logits; raises `ArtefactError` where the file does not take a batch.
        problems: a line for each way in which the file's structure is not as its contract says.
    """

    contract: Contract
    golden: Golden
    weights: dict[str, Stored]
    predict: Predict
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Structure:
    """What a file is made of.

    Attributes:
        operators: how often each occurs.
        parameters: how many numbers were learnt.
        tensors: element type and shape of each tensor of them.
    """

    operators: dict[str, int]
    parameters: int
    tensors: dict[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class LayerValues:
    """What a file computes at one layer with weights, for a batch of images.

    Attributes:
        given: the layer's input before any quantisation, float32 `[N, …]`.
        result: its output before the activation function, float32 `[N, …]`; batch normalisation is part of the layer.
    """

    given: NDArray[np.float32]
    result: NDArray[np.float32]


@dataclass(frozen=True)
class Inside:
    """An exported file, open so that the values between its layers can be seen.

    Attributes:
        run: images → the values at each layer, by the name of the trained model's module, and the logits; raises
            `ArtefactError` where the file does not take a batch.
        weights: weight and bias of each layer as the trained model's module has them, float32, dequantised and with
            batch normalisation folded in; layers whose weights can't be read are missing.
    """

    run: Callable[[NDArray[np.float32]], tuple[dict[str, LayerValues], NDArray[np.float32]]]
    weights: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Format:
    """One way out.

    Attributes:
        name: what the command line calls it.
        suffix: of its files, with the dot.
        precisions: those that it can be exported in.
        schemes: the ways in which it can be quantised to int8.
        has_opset: whether its files are written for an ONNX opset.
        export: a model in `eval()`, the contracts that its files shall carry, and golden vectors → the bytes of each
            file, not sealed yet. The contracts may differ in precision and scheme.
        load: opens a file; raises `ArtefactError` where that can't be done.
        structure: what a file that can be loaded is made of.
        layers: opens a file so that the layers of these names, in the order of the computation, can be seen; raises
            `ArtefactError` where they can't be told. None where a format does not show them.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    schemes: tuple[str, ...]
    has_opset: bool
    export: Callable[[nn.Module, Sequence[Contract], Golden], list[bytes]]
    load: Callable[[Path], Loaded]
    structure: Callable[[Path], Structure]
    layers: Callable[[Path, tuple[str, ...]], Inside] | None = None
