import numpy as np
import pytest

from mnist_edge.runtime.arrays import as_batch, as_stage, prepared

GRAY, COLOR = (1, 28, 28), (3, 28, 28)


@pytest.mark.parametrize(
    ("shape", "given", "images"),
    [
        (GRAY, (5, 28, 28), (5, 28, 28)),
        (GRAY, (5, 1, 28, 28), (5, 28, 28)),
        (GRAY, (1, 28, 28), (1, 28, 28)),
        (GRAY, (28, 28), None),
        (GRAY, (28, 28, 3), None),
        ((1, 28, 3), (5, 28, 3), None),
        (COLOR, (5, 3, 28, 28), (5, 3, 28, 28)),
        (COLOR, (5, 1, 28, 28), (5, 28, 28)),
        (COLOR, (3, 28, 28), None),
        (COLOR, (5, 28, 28), None),
    ],
)
def test_several_images_are_a_batch(
    shape: tuple[int, ...], given: tuple[int, ...], images: tuple[int, ...] | None
) -> None:
    found = as_batch(np.zeros(given), shape)
    assert (None if found is None else found.shape) == images


@pytest.mark.parametrize(
    ("shape", "given", "picture", "stage"),
    [(GRAY, GRAY, (28, 28), (28, 28)), (COLOR, COLOR, (28, 28, 3), (28, 28, 3)), (GRAY, (28, 28), (28, 28), (28, 28))],
)
def test_a_picture_has_its_channels_last(
    shape: tuple[int, ...], given: tuple[int, ...], picture: tuple[int, ...], stage: tuple[int, ...]
) -> None:
    array = np.zeros(given, np.float32)
    found, ready = prepared(array, shape, lambda image: image.reshape(1, *shape))
    assert ready is not None
    assert (found.shape, ready.shape, as_stage(ready).image.shape) == (picture, (1, *shape), stage)
