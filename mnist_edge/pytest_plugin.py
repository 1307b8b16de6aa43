"""A plugin of pytest: the fixture `parity`, for tests that keep an exported model honest.

    def test_the_exported_model_is_ours(parity):
        parity.assert_same(net, "model.onnx", images)

pytest imports it at its start, in every project where mnist-edge is installed: nothing heavy is imported before a test
uses it.
"""

from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    """The package `mnist_edge.parity`, with `assert_same(model, "model.onnx", images)`."""
    import mnist_edge.parity

    return mnist_edge.parity
