"""What the sandbox runs gives what the layers of a model compute."""

from contextlib import closing

import numpy as np
import pytest

from mnist_edge.formats.ncnn.files import pack
from mnist_edge.formats.ncnn.runner import SESSION
from mnist_edge.formats.sandboxed import predict
from mnist_edge.sandbox.client import open_session
from mnist_edge.types import AnyArray

IMAGES = np.linspace(-1, 1, 2 * 9, dtype=np.float32).reshape(2, 1, 3, 3)


@pytest.mark.parametrize(
    ("layer", "expected"), [("ReLU", np.maximum(IMAGES, 0)), ("Sigmoid", 1 / (1 + np.exp(-IMAGES)))]
)
def test_the_first_layer_may_work_in_place(layer: str, expected: AnyArray) -> None:
    param = f"7767517\n3 3\nInput in0 0 1 in0\n{layer} first 1 1 in0 1\nFlatten last 1 1 1 out0\n"
    with closing(open_session(SESSION, pack(param, b""))) as session:
        assert np.allclose(predict(session, IMAGES), expected.reshape(2, 9), atol=1e-6)
