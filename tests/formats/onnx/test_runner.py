import numpy as np
import pytest

from mnist_edge.errors import UserError
from mnist_edge.formats.onnx.runner import check_finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_with_a_number_that_is_none_is_refused_by_its_index(value: float) -> None:
    images = np.zeros((5, 1, 28, 28), np.float32)
    check_finite(images)
    images[3, 0, 27, 27] = value
    with pytest.raises(UserError, match="image 3 holds NaN or infinity"):
        check_finite(images)
