"""The answers of a module in memory, for those who have training code of their own."""

import copy
import dataclasses
import hashlib
import json
import sys
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from mnist_edge.artifact.contract import NO_LICENSE, Task
from mnist_edge.artifact.fields import MAX_LIST, one_line
from mnist_edge.errors import UserError
from mnist_edge.parity.given import Array, as_array
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.preprocessing.registry import load_preprocessing
from mnist_edge.training.architectures.normalization import Normalization
from mnist_edge.training.architectures.own import OwnArchitecture, TooManyLogitsError
from mnist_edge.training.architectures.own_code import called, refuse_unprepared
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.importing import calibrated, checkpoint_of, logits_of
from mnist_edge.types import TensorSpec

_NAME_ALL = "name all classes with module_reference(..., class_names=[...])"
"""How classes that no label stands for become known."""

HOME = "module"
"""What stands for the file in the name of an architecture that is not in one."""

_WEIGHT_HOOKS: dict[type, str] = {
    prune.BasePruningMethod: "prune.remove",
    SpectralNorm: "remove_spectral_norm",
    WeightNorm: "remove_weight_norm",
}
"""Hooks that compute a weight from others, and the function of `torch.nn.utils` that ends it."""


def module_reference(
    module: nn.Module,
    images: Array,
    labels: Array,
    *,
    name: str = "model",
    class_names: Sequence[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    validation: tuple[Array, Array] | None = None,
    preprocessing: str = "resize/1",
    license: str = NO_LICENSE,
) -> Reference:
    """Return a module's answers to labeled images, to export and verify it by.

        reference = mnist_edge.module_reference(net, test_images, test_labels, name="icons", mean=0.5, std=0.25)
        mnist_edge.export(reference, output="exports")

    The module is copied, and judged in `eval()` on the CPU: what becomes of it later changes nothing.

    Args:
        module: images `[N, channels, height, width]`, or `[N, values]` → logits, float32 `[N, classes]`.
        images: to judge exports on, `[N, channels, height, width]` or `[N, height, width]`; uint8, or floats in [0, 1].
            `resize/1` takes 1 or 3 channels and sides of up to 96.
        labels: class indices, whole numbers `[N]`.
        name: of the task; file names begin with it.
        class_names: what each output stands for, in their order; None is "0", "1", … up to the greatest label.
        mean: with `std`, and not without it, for a module that takes images normalized as torchvision's `Normalize`
            does; a number, or one for each channel. Exports take the images as they are, and normalize them themselves.
        std: see `mean`.
        validation: further images and labels that the module was not trained on: its temperature and thresholds are
            fitted on them, int8 schemes compared, and the test vectors chosen, which travel in every file. None does
            the latter two with the images, and leaves temperature and thresholds out.
        preprocessing: what turns a picture into an image, as `mnist-edge train --preprocessing` has it.
        license: of the weights, an SPDX expression, which every file carries.

    Raises:
        UserError: images, labels or names do not fit together, the module raises, or it gives other numbers than
            logits.

    Warns:
        UserWarning: the module's answers to the images are hardly better than guessing.
    """
    test = _split(images, labels)
    if isinstance(class_names, str | Mapping):
        raise UserError(
            f"class_names is a {type(class_names).__name__}, expected a list of names, in the order of the outputs"
        )
    texts = _numbered(test.labels) if class_names is None else tuple(class_names)
    task = _task(name, texts, tuple(test.images.shape[1:]), preprocessing)
    held_back = test if validation is None else _split(*validation)
    for part in (test, held_back):
        _check_part(part, task)
    frozen = _copied(module)
    own = OwnArchitecture(
        spec=f"{HOME}:{type(module).__name__}",
        definition=lambda: copy.deepcopy(frozen),
        normalization=Normalization.given(mean, std, task.input.shape[0]),
    )
    try:
        weights = build_model(own.name, task, own=own).state_dict()
    except TooManyLogitsError as error:
        if class_names is not None:
            raise
        raise UserError(f"{error}, which go up to {len(texts) - 1}: {_NAME_ALL}") from error
    nothing = Split(held_back.images[:0], held_back.labels[:0])
    data = TrainingData(nothing, _in_bytes(held_back), _digest(held_back), dataset=name)
    checkpoint = _without_machine(checkpoint_of(own, task, weights, data, license))
    if validation is None:
        logits_of(checkpoint, test)
    else:
        checkpoint = calibrated(checkpoint, data.validation)
    reference = make_reference(checkpoint, test, data)
    if reference.doubt:
        warnings.warn(f"{own.spec}: {reference.doubt}", stacklevel=_level_of_caller())
    return reference


def _level_of_caller() -> int:
    """Return the `stacklevel` of the first caller outside of this package, as `export` calls this too."""
    package, _, _ = __name__.partition(".")
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def _without_machine(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint without what depends on where it was made, so that files can be verified elsewhere.

    The module is at hand, so its code need not be recognized by what it answers.
    """
    return dataclasses.replace(checkpoint, trial_logits=(), producer={})


def _copied(module: nn.Module) -> nn.Module:
    """Return a copy on the CPU in float32, the precision in which exports are compared.

    Raises:
        UserError: it can't be copied, was made without `super().__init__()`, has weights that hooks compute, or is a
            program already.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UserError("a ScriptModule is a program already: give the torch.nn.Module that it was made of")
    refuse_unprepared(module)
    _refuse_computed_weights(module)
    try:
        return copy.deepcopy(module).cpu().float()
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"the module can't be copied ({one_line(error)}): give one that was made anew and has the weights, by "
            "load_state_dict(), and that keeps no results of its own"
        ) from error


def _refuse_computed_weights(module: nn.Module) -> None:
    """Raise `UserError` where a hook computes a weight from others: what it gave last can't always be copied."""
    for name, part in module.named_modules():
        for hook in vars(part)["_forward_pre_hooks"].values():
            remove = next((text for kind, text in _WEIGHT_HOOKS.items() if isinstance(hook, kind)), None)
            if remove is None:
                continue
            fields = vars(hook)
            weight = fields.get("_tensor_name", fields.get("name"))
            where = called(name, part)
            raise UserError(
                f"a hook computes the {weight} of {where}: call torch.nn.utils.{remove}(layer, {weight!r}) first, "
                "which makes a parameter of what it gives"
            )


def _numbered(labels: Tensor) -> tuple[str, ...]:
    """Return "0", "1", … up to the greatest label; raises `UserError` where those are not names of classes."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise UserError(f"there are labels from {low} to {high}, expected class indices from 0")
    if high == 0:
        raise UserError(f"all labels are 0, expected those of at least two classes: {_NAME_ALL}")
    if high >= MAX_LIST:  # before names are made of them, which could fill the memory
        raise UserError(f"there are labels up to {high:,}, expected class indices from 0 to {MAX_LIST - 1:,}")
    return tuple(map(str, range(high + 1)))


def _task(name: str, labels: tuple[str, ...], shape: tuple[int, ...], preprocessing: str) -> Task:
    """Return the task; raises `UserError` where its file could not be read again, or nothing gives such images."""
    tensor = load_preprocessing(preprocessing, TensorSpec("image", shape)).output
    if tensor.shape != shape:
        raise UserError(
            f"the images are {list(shape)}, but {preprocessing} gives {list(tensor.shape)}: name another one"
        )
    try:
        return Task.from_fields(json.loads(json.dumps(Task(name, labels, tensor, preprocessing).to_fields())))
    except ValueError as error:
        raise UserError(f"name or class_names can't be used: {one_line(error)}") from error


def _split(images: Array, labels: Array) -> Split:
    """Return images as float32 `[N, channels, height, width]` and labels as int64 `[N]`; raises `UserError`."""
    pixels, classes = as_array(images, "images"), as_array(labels, "labels")
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255)
    if pixels.ndim == 3:
        pixels = pixels[:, np.newaxis]
    if pixels.ndim != 4 or not np.issubdtype(pixels.dtype, np.floating) or not pixels.size:
        rows = "; give rows of values as images[:, None, None]" if pixels.ndim == 2 else ""
        raise UserError(
            f"the images are {pixels.dtype} {list(pixels.shape)}, expected uint8 or floats [N, channels, height, width]"
            f"{rows}"
        )
    if classes.shape != (len(pixels),) or not np.issubdtype(classes.dtype, np.integer):
        raise UserError(f"the labels are {classes.dtype} {list(classes.shape)}, expected whole numbers [{len(pixels)}]")
    low, high = float(pixels.min()), float(pixels.max())
    if not 0 <= low <= high <= 1:  # also where one is NaN
        raise UserError(
            f"the images hold values from {low:.4g} to {high:.4g}, expected [0, 1]: give them as they were before they "
            "were normalized, and `mean` and `std`"
        )
    return Split(torch.from_numpy(np.ascontiguousarray(pixels, np.float32)), torch.from_numpy(classes.astype(np.int64)))


def _check_part(part: Split, task: Task) -> None:
    if tuple(part.images.shape[1:]) != task.input.shape:
        raise UserError(f"there are images of {list(task.input.shape)} and of {list(part.images.shape[1:])}")
    low, high = int(part.labels.min()), int(part.labels.max())
    if not 0 <= low <= high < len(task.labels):
        raise UserError(f"there are labels from {low} to {high}, expected 0 to {len(task.labels) - 1}: see class_names")


def _in_bytes(part: Split) -> Split:
    """Return images with pixels rounded to 8 bits, as test vectors keep them."""
    return Split((part.images * 255).round() / 255, part.labels)


def _digest(part: Split) -> str:
    return hashlib.sha256(part.images.numpy().tobytes() + part.labels.numpy().tobytes()).hexdigest()
