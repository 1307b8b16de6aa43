"""The trained model's answers, from the files that hold the model and the data."""

from pathlib import Path

from mnist_edge.parity.comparison import Reference, make_reference
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets.mnist import load_test_data, load_training_data


def load_reference(checkpoint: Path, data_dir: Path) -> Reference:
    """Read a checkpoint and MNIST under `data_dir`, and answer the images.

    Raises:
        UserError: a file is missing or damaged, or is no checkpoint.
    """
    return make_reference(load_checkpoint(checkpoint), load_test_data(data_dir), load_training_data(data_dir))
