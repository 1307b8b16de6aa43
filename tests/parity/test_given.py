import numpy as np
import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.parity.given import Array, as_array


@pytest.mark.parametrize("given", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 4]])])
def test_lists_arrays_and_tensors_are_alike(given: Array) -> None:
    assert as_array(given, "images").tolist() == [[1, 2], [3, 4]]


def test_a_tensor_with_a_gradient_is_taken_without_it() -> None:
    assert as_array(torch.ones(3, requires_grad=True), "images").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("given", "reason"),
    [([[1, 2], [3]], "inhomogeneous"), (torch.ones(3).bfloat16(), "BFloat16"), (torch.eye(3).to_sparse(), "[Ss]parse")],
)
def test_what_is_not_one_array_is_one_line(given: Array, reason: str) -> None:
    with pytest.raises(UserError, match=rf"the images can't be read as one array of numbers \(.*{reason}") as caught:
        as_array(given, "images")
    assert "\n" not in str(caught.value)
