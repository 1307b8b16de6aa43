"""The proof covers the picture: test images as PNG files give the runner the tensors and labels of the training side.

The training side reads the published files through torchvision and scales as `ToTensor` does; the runner reads PNG
files through Pillow and prepares them. Neither knows the other.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.preprocessing.mnist_v3 import preprocess
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.recognizer import Recognizer, Status
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import Images

CUT_OFF = (4530, 9300, 9302)
"""Test images that reach over the lower edge: 19 of the box's 20 rows are left."""


@pytest.fixture(scope="module")
def pictures(test_data: Split, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The 10,000 test images as PNG files, their pixels as published."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for index, pixels in enumerate(test_data.images[:, 0].mul(255).round().byte().numpy()):
        paths.append(folder / f"{index:05}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def prepared(pictures: list[Path]) -> Images:
    """What the runner makes of them, `[10000, 1, 28, 28]`."""
    return np.concatenate([preprocess(Image.open(path)).tensor for path in pictures])


@pytest.mark.slow
def test_the_pictures_hold_the_training_sides_numbers(pictures: list[Path], test_data: Split) -> None:
    for index in (0, 4530, 9_999):
        pixels = np.asarray(Image.open(pictures[index]), dtype=np.float32) / np.float32(255)
        assert (pixels == test_data.images[index, 0].numpy()).all()


@pytest.mark.slow
def test_the_runner_makes_the_same_tensors_bit_for_bit(prepared: Images, test_data: Split) -> None:
    expected = test_data.images.numpy()
    assert prepared.dtype == expected.dtype
    assert prepared.shape == expected.shape
    assert np.array_equal(prepared, expected)


@pytest.mark.parametrize("index", CUT_OFF)
def test_a_digit_that_was_cut_off_at_the_lower_edge_passes_too(
    index: int, pictures: list[Path], test_data: Split
) -> None:
    expected = test_data.images[index].numpy()
    rows = np.flatnonzero(expected[0].any(axis=1))
    assert (rows[0], rows[-1]) == (9, 27)
    assert np.array_equal(preprocess(Image.open(pictures[index])).tensor[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_runner_gives_the_same_labels(name: str, pictures: list[Path], test_data: Split) -> None:
    recognizer = Recognizer(BUILTIN_MODELS[name])
    answers = recognizer.predict(pictures)
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {Status.OK, Status.UNCERTAIN}
    assert statuses.count(Status.UNCERTAIN) <= 0.02 * len(statuses)
    expected = recognizer.runner.predict_in_batches(test_data.images.numpy(), 1).argmax(axis=1)
    assert [answer.digit for answer in answers] == expected.tolist()
