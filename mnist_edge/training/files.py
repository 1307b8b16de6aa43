"""Names of the files of a training. Importing this imports no PyTorch."""

from pathlib import Path

RESUME_SUFFIX = ".resume"
"""Appended to the name of the checkpoint that an interrupted training is for."""


def resume_path(checkpoint: Path) -> Path:
    """Return where the interrupted training of a checkpoint is kept."""
    return checkpoint.with_name(checkpoint.name + RESUME_SUFFIX)


def history_path(checkpoint: Path) -> Path:
    """Return where the losses and accuracies of a checkpoint's training are written."""
    return checkpoint.with_suffix(".csv")
