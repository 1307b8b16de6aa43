import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import Normalize

from mnist_edge.errors import UserError
from mnist_edge.training.architectures.normalization import BIAS, WEIGHT, Normalization

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_it_is_torchvisions_and_found_again_in_its_weights() -> None:
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    normalization = Normalization.of(MEAN, STD, 3)
    layer = normalization.layer()
    with torch.no_grad():
        assert torch.allclose(layer(images), Normalize(MEAN, STD)(images), atol=1e-6)
    stored = {WEIGHT: layer.get_parameter("weight"), BIAS: layer.get_parameter("bias"), "network.a": torch.zeros(1)}
    found = Normalization.stored_in(stored)
    assert found is not None
    assert found.mean == pytest.approx(MEAN, abs=1e-7)
    assert found.std == pytest.approx(STD, abs=1e-7)
    assert Normalization.stored_in({"network.a": torch.zeros(1)}) is None


def test_one_number_is_for_all_channels() -> None:
    assert Normalization.of([0.5], [0.25], 3) == Normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.1, 0.2], [1.0], "there are 2 numbers for the mean, expected 1 or 3"),
        ([0.1], [1.0, 1.0], "there are 2 numbers for the standard deviation"),
        ([], [1.0], "there are 0 numbers for the mean"),
        ([math.nan], [1.0], "the mean is nan, expected finite numbers"),
        ([0.0], [math.inf], "the standard deviation is inf"),
        ([0.0], [0.0], "the standard deviation is 0, expected more than 0"),
        ([0.0], [-1.0], "the standard deviation is -1, expected"),
    ],
)
def test_what_is_not_a_normalization_is_one_line(mean: Sequence[float], std: Sequence[float], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Normalization.of(mean, std, 3)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        (0.5, 0.25),
        (np.float32(0.5), torch.tensor(0.25)),
        ([0.5], np.array([0.25])),
        (torch.tensor(0.5, requires_grad=True), torch.tensor([0.25] * 3, dtype=torch.bfloat16)),
        (map(float, [0.5] * 3), (each for each in [0.25])),
        ([torch.tensor(0.5, requires_grad=True)] * 3, [torch.tensor(0.25, dtype=torch.bfloat16)]),
        (np.full((3, 1, 1), 0.5), [[0.25]] * 3),
        (Fraction(1, 2), np.array(0.25)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_numbers_are_given_as_their_owner_has_them(mean: Any, std: Any) -> None:  # noqa: ANN401
    assert Normalization.given(mean, std, 3) == Normalization((0.5,) * 3, (0.25,) * 3)
    assert Normalization.given(None, None, 3) is None


@pytest.mark.parametrize(
    "given",
    [
        *("0.5", b"5", ["0.5"], np.array(["0.5"]), object(), (0.1, None, 0.2), 1j, torch.tensor(1j), 10**400),
        *([[0.1], [0.2, 0.3]], {"r": 0.5}, {0.1, 0.2, 0.3}, torch.zeros(3, device="meta"), [torch.zeros(2), 0.1]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_holds_no_numbers_is_one_line(given: Any) -> None:  # noqa: ANN401
    end = r" can't be read as numbers \(.+\): give a number, or a list of one for each channel$"
    with pytest.raises(UserError, match="^mean" + end):
        Normalization.given(given, 1, 3)
    with pytest.raises(UserError, match="^std" + end):
        Normalization.given(0, given, 3)


def test_images_are_normalized_as_the_layer_does() -> None:
    images, normalization = torch.rand(5, 3, 8, 8), Normalization.of(MEAN, STD, 3)
    with torch.no_grad():
        assert np.abs(normalization.applied(images.numpy()) - normalization.layer()(images).numpy()).max() < 1e-6
    rows = Normalization.of([0.5], [0.25], 7).applied(np.ones((2, 7), np.float32))
    assert rows.dtype == np.float32
    assert rows.tolist() == [[2.0] * 7] * 2
