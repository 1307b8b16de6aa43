"""Checkpoints of networks that were trained elsewhere: their weights as they are, calibrated on images of ours."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mnist_edge
from mnist_edge.artifact.contract import NO_LICENSE, Task
from mnist_edge.errors import UserError
from mnist_edge.training.architectures.own import NETWORK, OwnArchitecture
from mnist_edge.training.architectures.registry import build_model
from mnist_edge.training.calibration import choose_temperature
from mnist_edge.training.checkpoint import Checkpoint, with_trial
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.loop import predict_logits
from mnist_edge.training.ood import Thresholds, thresholds_of
from mnist_edge.training.weights_file import fit_weights, read_weights
from mnist_edge.types import Logits

HARDLY_BETTER = 2
"""An accuracy below so many times that of guessing is pointed out."""


def import_weights(
    path: Path,
    own: OwnArchitecture,
    task: Task,
    data: TrainingData,
    license: str = NO_LICENSE,
) -> Checkpoint:
    """Return the checkpoint of a network with the weights in a file, not calibrated yet.

    Args:
        path: a `state_dict` that `torch.save` or safetensors wrote.
        own: the network's code, with the normalization that it was trained with.
        task: what it tells apart.
        data: what it will be calibrated on.
        license: of the weights, an SPDX expression.

    Raises:
        UserError: the file can't be read, would run code to be read, or does not fit the network, or that raises.
    """
    found = read_weights(path)
    state = build_model(own.name, task, own=own).state_dict()
    expected = {name.removeprefix(NETWORK): tensor for name, tensor in state.items() if name.startswith(NETWORK)}
    fitted = fit_weights(path, found, expected)
    weights = state | {f"{NETWORK}{name}": tensor for name, tensor in fitted.items()}
    return checkpoint_of(own, task, weights, data, license)


def checkpoint_of(
    own: OwnArchitecture,
    task: Task,
    weights: Mapping[str, Tensor],
    data: TrainingData,
    license: str = NO_LICENSE,
) -> Checkpoint:
    """Return the checkpoint of a network of the user's with these weights, its `state_dict`, not calibrated."""
    made = Checkpoint(
        task=task,
        architecture=own.name,
        weights={name: tensor.detach().cpu().clone() for name, tensor in weights.items()},
        recipe=None,
        seed=0,
        history=(),
        temperature=1.0,
        thresholds=Thresholds(0.0, 0.0),
        data_digest=data.digest,
        data=data.record(task),
        producer={"mnist-edge": mnist_edge.__version__, "torch": torch.__version__},
        license=license,
        own=own,
    )
    return with_trial(made)


def calibrated(checkpoint: Checkpoint, validation: Split) -> Checkpoint:
    """Return a checkpoint with a temperature and thresholds fitted on images that it should not have been trained on.

    Raises:
        UserError: the network raises, or gives numbers that are not finite, or too great for thresholds.
    """
    logits = logits_of(checkpoint, validation)
    temperature = choose_temperature(logits, validation.labels.numpy())
    return dataclasses.replace(checkpoint, temperature=temperature, thresholds=thresholds_of(logits, temperature))


def logits_of(checkpoint: Checkpoint, images: Split) -> Logits:
    """Return what a network of the user's gives, float32 `[N, labels]`.

    Raises:
        UserError: as `calibrated`.
    """
    own, model = checkpoint.own, checkpoint.build()
    assert own is not None, "what was imported is a network of the user's"
    logits: Logits = own.run("with images", lambda: predict_logits(model, images.images)).numpy()
    if bad := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise UserError(f"{own.spec} gives logits that are not finite numbers for {bad:,} of {len(logits):,} images")
    return logits


def doubt_of(checkpoint: Checkpoint, accuracy: float) -> str:
    """Return a line on an accuracy in [0, 1] that is hardly better than guessing, or "" for one that is better.

    It is where it is below `HARDLY_BETTER` times that of guessing, and less than a third of the way from there to 1: of
    two labels, all answers would be needed for the former.
    """
    guessing = 1 / len(checkpoint.task.labels)
    if accuracy >= min(HARDLY_BETTER * guessing, guessing + (1 - guessing) / 3):
        return ""
    found = f"{accuracy:.2%} is hardly better than guessing"
    if checkpoint.recipe is not None:
        return f"{found}: train it longer, or with other settings"
    return (
        f"{found}: was the network trained on other images, in another order of labels, or normalized with another "
        "mean and standard deviation?"
    )
