"""Fashion-MNIST: clothes of ten kinds, 28×28 (Xiao, Rasul and Vollgraf 2017)."""

from functools import partial

from mnist_edge.training.datasets import idx_files

_SOURCE = idx_files.IdxSource("FashionMNIST", ("train", "t10k"))

load_training_data = partial(idx_files.load_training_data, "fashion-mnist", _SOURCE)
load_test_data = partial(idx_files.load_test_data, "fashion-mnist", _SOURCE)
