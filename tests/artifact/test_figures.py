"""What an artifact says of its own answers."""

import numpy as np

from mnist_edge.artifact.figures import Figures


def test_the_largest_difference_is_that_of_the_report() -> None:
    """Computed in double precision: in single precision, it is a multiple of the spacing of floats."""
    trained, found = np.array([[1e-3, 1.0]], np.float32), np.array([[-1.0, 1.0]], np.float32)
    exact = float(trained[0, 0]) - float(found[0, 0])
    assert exact != float(trained[0, 0] - found[0, 0])
    assert Figures.of(found, trained, np.array([1])) == Figures(1, 1.0, 1.0, 1.0, exact)
