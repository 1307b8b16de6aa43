"""The letters of EMNIST, upper and lower case together, 28×28; the files have rows and columns exchanged.

Cohen, Afshar, Tapson and van Schaik: *EMNIST: an extension of MNIST to handwritten letters* (2017).
"""

from functools import partial

from mnist_edge.training.datasets import idx_files

_SOURCE = idx_files.IdxSource(
    "EMNIST", ("emnist-letters-train", "emnist-letters-test"), {"split": "letters"}, first_label=1, transposed=True
)

load_training_data = partial(idx_files.load_training_data, "emnist-letters", _SOURCE)
load_test_data = partial(idx_files.load_test_data, "emnist-letters", _SOURCE)
