"""What a network of the user's answers to a few fixed images: a checkpoint holds its weights, but not its code."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.fields import check_number, take_list

TRIALS = 4
"""How many images there are."""

TOLERANCE = 1e-3
"""The same code gives logits within this, as a share of the greatest one where that is more than 1. Between processors,
float32 sums differ by a hundredth of it."""

TrialLogits = tuple[tuple[float, ...], ...]
"""Logits of the images, `[TRIALS][labels]`; empty where some were not finite."""


def trial_images(task: Task) -> Tensor:
    """Return the images, float32 `[TRIALS, channels, height, width]` in [0, 1]: noise, by multiplicative hashing."""
    count = TRIALS * int(np.prod(task.input.shape))
    noise = np.arange(count, dtype=np.uint64) * np.uint64(2654435769) % np.uint64(1 << 32)  # Knuth 1973, section 6.4
    return torch.from_numpy((noise / (1 << 32)).astype(np.float32).reshape(TRIALS, *task.input.shape))


def trial_logits(model: nn.Module, task: Task) -> TrialLogits:
    """Return what a model in `eval()` gives."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with torch.no_grad():  # not inference_mode: what the code keeps of it may be trained with
        logits: Tensor = model(trial_images(task).to(device))
    return tuple(map(tuple, logits.tolist())) if logits.isfinite().all() else ()


def same_logits(found: TrialLogits, expected: TrialLogits) -> bool:
    """Return whether the same code with the same weights gave both; what is empty can't be compared."""
    if not found or not expected:
        return len(found) == len(expected)
    ours, theirs = np.array(found), np.array(expected)
    return ours.shape == theirs.shape and bool(
        np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max())
    )


def take_trial_logits(fields: Mapping[str, Any], name: str) -> TrialLogits:
    """Return a field that was written as `TrialLogits`; raises `ValueError` where it is not."""
    rows = take_list(fields, name)
    if not all(isinstance(row, list) for row in rows):
        raise ValueError(f"{name} is not a list of lists")
    return tuple(tuple(check_number(value, name) for value in row) for row in rows)
