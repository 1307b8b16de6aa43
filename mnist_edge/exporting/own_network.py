"""Exports of a network of the user's own, and the layer that is to blame where one can't be made."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError, MnistEdgeError, UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.logs import silent
from mnist_edge.formats.runner import Runner
from mnist_edge.training.architectures.own import OwnNetwork

_FIXED = "its forward() fixes the number of images: write x.flatten(1) or x.shape[0], not len(x)"


def export_own(spec: FormatSpec, model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle | UserError]:
    """Return what the exporter gives for a network of the user's own, opened once to see that it can be run.

    A scheme that the network can't be stored in has an error in its place, unless it is the first.

    Raises:
        UserError: torch can't export the network, or it has operators that no file may hold; names the layer.
    """
    try:
        return [*_export(spec, model, requests)]
    except Exception as error:  # torch and the converters raise anything
        if len(requests) == 1:
            if isinstance(error, UserError):
                raise
            reason = _reason(error)
            layer, mend = _failing_layer(spec, model, requests[0], reason)
            raise UserError(f"{spec.name} can't hold {layer}: {reason}{mend}") from error
    return [*export_own(spec, model, requests[:1]), *(_attempt(spec, model, request) for request in requests[1:])]


def _attempt(spec: FormatSpec, model: nn.Module, request: ExportRequest) -> Bundle | UserError:
    """Return what the exporter gives for one request, or why it gives nothing."""
    try:
        return _export(spec, model, [request])[0]
    except Exception as error:  # torch and the converters raise anything
        return UserError(one_line(error))


def _export(spec: FormatSpec, model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    with silent():
        bundles = spec.exporter().export(model, requests)
    with spec.open(bundles[0]) as runner:
        if _takes_two_images_alone(runner):
            raise ArtifactError(_FIXED)
    return bundles


def _takes_two_images_alone(runner: Runner) -> bool:
    """Say whether an artifact that should take any number of images takes as many as it was traced with, two."""

    def answers(count: int) -> bool:
        try:
            return len(runner.predict(np.zeros((count, *runner.contract.task.input.shape), np.float32))) == count
        except ArtifactError:
            return False

    return runner.contract.batch is None and not answers(3) and answers(2)


def _failing_layer(spec: FormatSpec, model: nn.Module, request: ExportRequest, reason: str) -> tuple[str, str]:
    """Return the name of the first of the smallest parts that can't be exported alone for the same reason.

    With it goes what would mend it, empty where that is not known.
    """
    for name, part, shape in _parts(model, request.contract.task.input.shape):
        tensor = dataclasses.replace(request.contract.task.input, shape=(1,) * (3 - len(shape)) + shape)
        task = dataclasses.replace(request.contract.task, input=tensor)
        alone = dataclasses.replace(request, contract=dataclasses.replace(request.contract, task=task))
        try:
            _export(spec, _Alone(part, shape), [alone])
        except Exception as error:  # whatever torch raises is what is looked for
            if _without_numbers(_reason(error)) == _without_numbers(reason):
                return f"the layer {name} ({type(part).__name__})", _without_parametrization(part)
    network = model.network if isinstance(model, OwnNetwork) else model
    return f"this network, as {type(network).__name__} puts its layers together", ""


def _without_parametrization(part: nn.Module) -> str:
    """Return how a layer computes no parameter of others, as with weight_norm; empty where it does not."""
    if not parametrize.is_parametrized(part):
        return ""
    assert isinstance(part.parametrizations, nn.ModuleDict), "as torch keeps them"
    computed = next(iter(part.parametrizations))
    return (
        f"; call torch.nn.utils.parametrize.remove_parametrizations(layer, {computed!r}) first, which makes a "
        "parameter of what that gives"
    )


class _Alone(nn.Module):
    """A part of a network, which is given images of three sides whatever it takes."""

    def __init__(self, part: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.part, self.shape = part, shape

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor | tuple[Tensor, ...] = self.part(value.reshape(-1, *self.shape))
        return result[0] if isinstance(result, tuple) else result


def _parts(model: nn.Module, shape: tuple[int, ...]) -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Yield name, module and input shape of the parts of a network, in the order in which they are done.

    Left out are those that do not take one tensor of at most four sides, and those that are as one before.
    """
    done: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def note(name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(module: nn.Module, inputs: tuple[object, ...], _: object) -> None:
            if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].dim() <= 4:
                done.append((name, module, tuple(inputs[0].shape[1:])))

        return hook

    prefix = "network." if isinstance(model, OwnNetwork) else ""
    hooks = [
        part.register_forward_hook(note(name.removeprefix(prefix)))
        for name, part in model.named_modules()
        if name.startswith(prefix) and name != prefix and ".parametrizations." not in name  # they take weights
    ]
    try:
        with torch.no_grad(), silent():
            model(torch.zeros(2, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for name, part, taken in done:
        kind = (repr(part), taken)
        if kind not in seen:
            seen.add(kind)
            yield name, part, taken


def _without_numbers(reason: str) -> str:
    """Return a reason without the sizes and the numbers of symbols that it names, which a part has others of."""
    return re.sub(r"\d+", "#", reason)


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost reason, which torch's exporters wrap in reports of many lines."""
    while error.__cause__ is not None and not isinstance(error, ArtifactError):
        error = error.__cause__
    if str(error).startswith("Constraints violated"):  # as torch.export says it
        return _FIXED if "specialized" in str(error) else "its forward() depends on the number of images"
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = one_line(Exception(lines[0])) if lines else type(error).__name__
    return reason if isinstance(error, MnistEdgeError) else f"torch can't export it ({reason})"
