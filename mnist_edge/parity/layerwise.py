"""The culprit: where an exported file departs from the trained model, layer by layer.

Each step is judged on what the file itself gave it: the trained model's step is computed on the file's own input to
it, so an error is charged to the step that makes it and not to those that pass it on.
"""

import copy
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mnist_edge.parity.layer_trace import Step, chain, unchanged
from mnist_edge.formats.base import ArtefactError, Inside, LayerValues
from mnist_edge.formats.registry import format_of
from mnist_edge.parity.statistics import json_numbers

Array = NDArray[np.float32]

ROUNDING = 1e-5
"""Error of a step, as a part of its largest value, that summing float32 in another order explains.

By Higham and Mary (A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 41, 2019) it grows as
√n · 2⁻²⁴: 3e-6 for the longest sum, of 2,352 products. Measured on every format are at most 1e-6.
"""


@dataclass(frozen=True)
class StepError:
    """The error of one step. Relative errors are ‖Δ‖ / ‖eager‖, Euclidean norms over all images and values.

    Attributes:
        name: of the step.
        max_error: largest |Δ| between its output in the file and in eager, infinite where one is not finite.
        error: the relative error of its output, with what was handed down from the steps before.
        own: the relative error that this step makes by itself.
        weights: the part of it that the file's weights make, None where there are none or they can't be read.
        arithmetic: the part that remains: rounded activations, saturated sums, another operation; None the same.
        departs: whether its own error is more than rounding explains.
    """

    name: str
    max_error: float
    error: float
    own: float
    weights: float | None
    arithmetic: float | None
    departs: bool


@dataclass(frozen=True)
class LayerReport:
    """The error of each step of one file: truthy when none departs.

    Attributes:
        images: on how many images.
        steps: in the order of the computation.
        weights: relative error of the logits of the trained model with the file's weights, None where one is unknown.
        arithmetic: relative error of the file's logits against those, None the same.
    """

    images: int
    steps: tuple[StepError, ...]
    weights: float | None
    arithmetic: float | None

    def __bool__(self) -> bool:
        """Say whether all steps are the trained model's, but for rounding."""
        return not any(step.departs for step in self.steps)

    @property
    def culprit(self) -> str:
        """The first step that departs, and why, in one line."""
        departing = [step for step in self.steps if step.departs]
        if not departing:
            return "no layer departs from the trained model by more than rounding"
        first, worst = departing[0], max(departing, key=lambda step: step.own)
        line = f"first departs at {_blame(first)}"
        return line if worst is first else f"{line}; the largest error of its own is made at {_blame(worst)}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types; what is infinite is null."""
        return {
            "images": self.images,
            "culprit": self.culprit,
            "steps": [json_numbers(dataclasses.asdict(step)) for step in self.steps],
            **json_numbers({"logits_error_of_weights": self.weights, "logits_error_of_arithmetic": self.arithmetic}),
        }


def _blame(step: StepError) -> str:
    if step.weights is None or step.arithmetic is None:
        return f"{step.name}: it computes something else (relative error {step.own:.2g})"
    cause = "its weights differ" if step.weights >= step.arithmetic else "it computes something else with its weights"
    return (
        f"{step.name}: {cause} (relative error {step.own:.2g}; weights {step.weights:.2g}, "
        f"arithmetic {step.arithmetic:.2g})"
    )


def examine_layers(path: Path, model: nn.Module, images: Array, batch: int) -> LayerReport | None:
    """Compare the steps of an exported file with those of the trained model; None where its format can't show them.

    Args:
        path: the file.
        model: the trained model, in `eval()`.
        images: float32 `[N, 1, 28, 28]`.
        batch: images a call of the file.

    Raises:
        ArtefactError: the file can't be run, or its layers can't be told.
        UserError: the file can't be read, or its format can't be told.
    """
    opener = format_of(path).layers
    if opener is None:
        return None
    steps = chain(model)
    names = tuple(step.name for step in steps if step.layer)
    inside = opener(path, names)
    values, logits = _in_batches(inside, images, batch)
    with torch.inference_mode():
        return _compare(steps, inside, values, logits, images)


def _in_batches(inside: Inside, images: Array, batch: int) -> tuple[dict[str, LayerValues], Array]:
    runs = [inside.run(images[start : start + batch]) for start in range(0, len(images), batch)]
    values = {
        name: LayerValues(
            np.concatenate([run[name].given for run, _ in runs]), np.concatenate([run[name].result for run, _ in runs])
        )
        for name in runs[0][0]
    }
    return values, np.concatenate([logits for _, logits in runs])


def _compare(
    steps: list[Step], inside: Inside, values: dict[str, LayerValues], logits: Array, images: Array
) -> LayerReport:
    """Walk down the steps with three values: eager's own, the file's, and eager's with the weights of the file."""
    eager = theirs = reweighted = torch.from_numpy(images)
    unknown = {step.name for step in steps if step.layer} - set(inside.weights)
    errors = []
    for index, step in enumerate(steps):
        known = step.layer is not None and step.name not in unknown
        with_weights = _reweighted(step, inside) if known else step.run
        expected, weighted = step.run(theirs), with_weights(theirs)
        eager, reweighted = step.run(eager), with_weights(reweighted)
        theirs = _as_eager(_found(steps, index, values, logits), eager)
        error = _step_error(step, eager, theirs, expected, weighted if known else None)
        if step.run is not unchanged or error.departs:
            errors.append(error)
    return LayerReport(
        images=len(images),
        steps=tuple(errors),
        weights=None if unknown else _relative(reweighted, eager, eager),
        arithmetic=None if unknown else _relative(theirs, reweighted, eager),
    )


def _found(steps: list[Step], index: int, values: dict[str, LayerValues], logits: Array) -> Array:
    """Return what the file has after a step: a layer's result, the next layer's input, or the logits."""
    step = steps[index]
    if step.layer:
        return values[step.name].result
    return values[steps[index + 1].name].given if index + 1 < len(steps) else logits


def _as_eager(found: Array, eager: Tensor) -> Tensor:
    if found.size != eager.numel():
        raise ArtefactError(f"it computes {list(found.shape)} where the trained model has {list(eager.shape)}")
    return torch.from_numpy(found).reshape(eager.shape)


def _reweighted(step: Step, inside: Inside) -> nn.Module:
    """Return the step's layer with the file's weights.

    Raises:
        ArtefactError: they do not fit.
    """
    weight, bias = (torch.tensor(array) for array in inside.weights[step.name])
    other = copy.deepcopy(step.layer)
    assert other is not None, "only layers have weights"
    shape = list(other.get_parameter("weight").shape)
    if list(weight.shape) != shape:
        raise ArtefactError(
            f"the weight of {step.name} is of shape {list(weight.shape)}, the trained model's of {shape}"
        )
    other.weight, other.bias = nn.Parameter(weight), nn.Parameter(bias)
    return other


def _step_error(step: Step, eager: Tensor, found: Tensor, expected: Tensor, weighted: Tensor | None) -> StepError:
    largest = float(_difference(found, expected).abs().max())
    return StepError(
        name=step.name,
        max_error=_number(float(_difference(found, eager).abs().max())),
        error=_relative(found, eager, eager),
        own=_relative(found, expected, eager),
        weights=None if weighted is None else _relative(weighted, expected, eager),
        arithmetic=None if weighted is None else _relative(found, weighted, eager),
        departs=not largest <= ROUNDING * float(expected.nan_to_num().abs().max()),  # so that NaN departs
    )


def _relative(found: Tensor, expected: Tensor, eager: Tensor) -> float:
    return _number(float(_difference(found, expected).double().norm() / eager.double().norm()))


def _difference(found: Tensor, expected: Tensor) -> Tensor:
    """Return the difference, 0 where both are NaN: that is handed down, not made."""
    return torch.where(found.isnan() & expected.isnan(), 0, found - expected)


def _number(value: float) -> float:
    return value if math.isfinite(value) else math.inf
