"""Knowledge distillation: a small network learns what larger ones answer, and not the labels alone.

Hinton, Vinyals and Dean, *Distilling the knowledge in a neural network*, 2015 (arXiv:1503.02531).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's documentation has it
from torch import Tensor, nn


def soft_targets(teachers: Sequence[nn.Module], images: Tensor, temperature: float) -> Tensor:
    """Return the mean of the teachers' probabilities at a temperature, float32 `[N, labels]`, without gradients."""
    with torch.no_grad():
        return torch.stack([F.softmax(teacher(images) / temperature, dim=1) for teacher in teachers]).mean(dim=0)


def distillation_loss(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the KL divergence from a student's probabilities to the targets, times the square of the temperature.

    The square keeps the gradients as large as they are at a temperature of 1 (section 2 of the paper).

    Args:
        logits: of the student, float32 `[N, labels]`.
        targets: probabilities at that temperature, float32 `[N, labels]`.
        temperature: above 0.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    return F.kl_div(student, targets, reduction="batchmean") * temperature**2
