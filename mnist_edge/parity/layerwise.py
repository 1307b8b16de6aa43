"""Layerwise comparison: where an artifact diverges from the trained model.

Each layer is judged on what the file itself gave it: the trained model's layer is computed on the file's own input to
it, so an error is charged to the layer that makes it and not to those that pass it on.
"""

import contextlib
import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mnist_edge.artifact.fields import json_numbers
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.build import Intermediates, LayerIO
from mnist_edge.parity.layer_trace import Layer, trace_layers, unchanged
from mnist_edge.types import AnyArray, Images, Logits

ROUNDING_RTOL = 1e-5
"""Error of a layer, as a part of its largest value, that summing float32 in another order explains.

By Higham and Mary (A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 41, 2019) it grows as
√n · 2⁻²⁴: 2e-6 for the longest sum, of 784 products. Measured on every format are at most 1e-6.
"""


_CHAIN_RTOL = 1e-3
"""Relative error that folding normalization into the layers of the trained model explains, with a wide margin."""


@dataclass(frozen=True)
class LayerDivergence:
    """The error of one layer. Relative errors are ‖Δ‖ / ‖eager‖, Euclidean norms over all images and values.

    Attributes:
        name: of the layer.
        max_abs_diff: largest |Δ| between its output in the file and in eager, infinite where one is not finite.
        error: the relative error of its output, with what was handed down from the layers before.
        own: the relative error that this layer makes by itself.
        weights: the part of it that the file's weights make, None where there are none or they can't be read.
        arithmetic: the part that remains: rounded activations, saturated sums, another operation; None the same.
        diverges: whether its own error is more than rounding explains.
    """

    name: str
    max_abs_diff: float
    error: float
    own: float
    weights: float | None
    arithmetic: float | None
    diverges: bool


@dataclass(frozen=True)
class LayerwiseReport:
    """The error of each layer of one file: truthy when none diverges.

    Attributes:
        images: on how many images.
        layers: in the order of the computation.
        weights: relative error of the logits of the trained model with the file's weights, None where one is unknown.
        arithmetic: relative error of the file's logits against those, None the same.
    """

    images: int
    layers: tuple[LayerDivergence, ...]
    weights: float | None
    arithmetic: float | None

    def __bool__(self) -> bool:
        """Say whether all layers are the trained model's, but for rounding."""
        return not any(layer.diverges for layer in self.layers)

    @property
    def culprit(self) -> str:
        """The first layer that diverges, and why, in one line."""
        diverging = [layer for layer in self.layers if layer.diverges]
        if not diverging:
            return "no layer diverges from the trained model by more than rounding"
        first, worst = diverging[0], max(diverging, key=lambda layer: layer.own)
        line = f"first diverges at {_blame(first)}"
        return line if worst is first else f"{line}; the largest error of its own is made at {_blame(worst)}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types; what is infinite is null."""
        return {
            "images": self.images,
            "culprit": self.culprit,
            "layers": [json_numbers(dataclasses.asdict(layer)) for layer in self.layers],
            **json_numbers({"logits_error_of_weights": self.weights, "logits_error_of_arithmetic": self.arithmetic}),
        }


def _blame(layer: LayerDivergence) -> str:
    if layer.weights is None or layer.arithmetic is None:
        return f"{layer.name}: it computes something else (relative error {layer.own:.2g})"
    cause = "its weights differ" if layer.weights >= layer.arithmetic else "it computes something else with its weights"
    return (
        f"{layer.name}: {cause} (relative error {layer.own:.2g}; weights {layer.weights:.2g}, "
        f"arithmetic {layer.arithmetic:.2g})"
    )


def compare_layers(artifact: ArtifactFile, model: nn.Module, images: Images, batch: int) -> LayerwiseReport:
    """Compare the layers of an exported artifact with those of the trained model.

    Args:
        artifact: as it was read.
        model: the trained model, in `eval()`.
        images: float32 `[N, channels, height, width]`.
        batch: images a call of the artifact.

    Raises:
        ArtifactError: its format does not show intermediate values, the network is not a chain of layers that give
            together what it gives, or the artifact can't be run, or its layers can't be told apart.
    """
    if not artifact.spec.intermediates:
        raise ArtifactError(f"{artifact.spec.name} does not show the values between layers")
    layers = trace_layers(model)
    if layers is None:
        raise ArtifactError("not available for this network, which is not a chain of layers")
    _check_chain(layers, model, torch.from_numpy(images))
    names = tuple(layer.name for layer in layers if layer.module)
    with contextlib.closing(artifact.spec.inspector().open_intermediates(artifact.bundle, names)) as opened:
        values, logits = _in_batches(opened, images, batch)
    with torch.inference_mode():
        return _compare(layers, opened, values, logits, images)


def _check_chain(layers: list[Layer], model: nn.Module, images: Tensor) -> None:
    """Refuse a chain that does not compute what the model does: an exact file would seem to diverge from it.

    The folding of normalization takes for granted that the channels are what the layer before gives; they are something
    else where a linear layer is given more than one row of each image.
    """
    with torch.inference_mode():
        value, expected = images, model(images)
        for layer in layers:
            value = layer.run(value)
    if value.shape != expected.shape or not _relative(value, expected, expected) <= _CHAIN_RTOL:
        raise ArtifactError("not available for this network, whose layers one by one do not give what it gives")


def _in_batches(opened: Intermediates, images: Images, batch: int) -> tuple[dict[str, LayerIO], Logits]:
    runs = [opened.run(images[start : start + batch]) for start in range(0, len(images), batch)]
    values = {
        name: LayerIO(
            np.concatenate([run[name].input for run, _ in runs]), np.concatenate([run[name].output for run, _ in runs])
        )
        for name in runs[0][0]
    }
    return values, np.concatenate([logits for _, logits in runs])


def _compare(
    layers: list[Layer], opened: Intermediates, values: dict[str, LayerIO], logits: Logits, images: Images
) -> LayerwiseReport:
    """Walk down the layers with three values: eager's own, the file's, and eager's with the weights of the file."""
    eager = theirs = reweighted = torch.from_numpy(images)
    unknown = {layer.name for layer in layers if layer.module} - set(opened.weights)
    errors = []
    for index, layer in enumerate(layers):
        known = layer.module is not None and layer.name not in unknown
        with_weights = _reweighted(layer, opened) if known else layer.run
        expected, weighted = layer.run(theirs), with_weights(theirs)
        eager, reweighted = layer.run(eager), with_weights(reweighted)
        theirs = _as_eager(_found(layers, index, values, logits), eager)
        error = _divergence(layer, eager, theirs, expected, weighted if known else None)
        if layer.run is not unchanged or error.diverges:
            errors.append(error)
    return LayerwiseReport(
        images=len(images),
        layers=tuple(errors),
        weights=None if unknown else _relative(reweighted, eager, eager),
        arithmetic=None if unknown else _relative(theirs, reweighted, eager),
    )


def _found(layers: list[Layer], index: int, values: dict[str, LayerIO], logits: AnyArray) -> AnyArray:
    """Return what the file has after a layer: a layer's output, the next layer's input, or the logits."""
    layer = layers[index]
    if layer.module:
        return values[layer.name].output
    return values[layers[index + 1].name].input if index + 1 < len(layers) else logits


def _as_eager(found: AnyArray, eager: Tensor) -> Tensor:
    if found.size != eager.numel():
        raise ArtifactError(f"it computes {list(found.shape)} where the trained model has {list(eager.shape)}")
    return torch.from_numpy(found).reshape(eager.shape)


def _reweighted(layer: Layer, opened: Intermediates) -> nn.Module:
    """Return the layer's module with the file's weights.

    Raises:
        ArtifactError: they do not fit.
    """
    weight, bias = (torch.tensor(array) for array in opened.weights[layer.name])
    other = copy.deepcopy(layer.module)
    assert other is not None, "only layers have weights"
    shape = list(other.get_parameter("weight").shape)
    if list(weight.shape) != shape:
        raise ArtifactError(
            f"the weight of {layer.name} is of shape {list(weight.shape)}, the trained model's of {shape}"
        )
    other.weight, other.bias = nn.Parameter(weight), nn.Parameter(bias)
    return other


def _divergence(
    layer: Layer, eager: Tensor, found: Tensor, expected: Tensor, weighted: Tensor | None
) -> LayerDivergence:
    largest = float(_difference(found, expected).abs().max())
    return LayerDivergence(
        name=layer.name,
        max_abs_diff=_number(float(_difference(found, eager).abs().max())),
        error=_relative(found, eager, eager),
        own=_relative(found, expected, eager),
        weights=None if weighted is None else _relative(weighted, expected, eager),
        arithmetic=None if weighted is None else _relative(found, weighted, eager),
        diverges=not largest <= ROUNDING_RTOL * float(expected.nan_to_num().abs().max()),  # so that NaN diverges
    )


def _relative(found: Tensor, expected: Tensor, eager: Tensor) -> float:
    error = _difference(found, expected).double().norm()
    return _number(float(error / eager.double().norm())) if error else 0.0  # also of a layer that gives zeros


def _difference(found: Tensor, expected: Tensor) -> Tensor:
    """Return the difference, 0 where both are NaN: that is handed down, not made."""
    return torch.where(found.isnan() & expected.isnan(), 0, found - expected)


def _number(value: float) -> float:
    return value if math.isfinite(value) else math.inf
