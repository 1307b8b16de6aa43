"""KMNIST: ten characters of cursive Japanese, 28×28 (Clanuwat et al. 2018)."""

from functools import partial

from mnist_edge.training.datasets import idx_files

_SOURCE = idx_files.IdxSource("KMNIST", ("train", "t10k"))

load_training_data = partial(idx_files.load_training_data, "kmnist", _SOURCE)
load_test_data = partial(idx_files.load_test_data, "kmnist", _SOURCE)
