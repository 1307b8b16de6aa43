"""The digits of EMNIST, 28×28, see `emnist_letters`; the files have rows and columns exchanged."""

from functools import partial

from mnist_edge.training.datasets import idx_files

_SOURCE = idx_files.IdxSource(
    "EMNIST", ("emnist-digits-train", "emnist-digits-test"), {"split": "digits"}, transposed=True
)

load_training_data = partial(idx_files.load_training_data, "emnist-digits", _SOURCE)
load_test_data = partial(idx_files.load_test_data, "emnist-digits", _SOURCE)
