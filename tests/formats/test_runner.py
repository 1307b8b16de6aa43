"""What every open artifact does, whatever its runtime is."""

import dataclasses

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner, at_batch_one, check_shape, predict_in_batches
from mnist_edge.types import AnyArray, Images, Logits, Predict
from tests.formats.c.networks import made, request_for


def failing(images: Images, batch: int = 1) -> Logits:
    raise ArtifactError(f"a runtime was given {len(images)} images in batches of {batch}")


@pytest.fixture
def runner() -> Runner:
    """One of a network of three labels, whose runtime takes nothing."""
    contract = request_for(*made("linear"), quantized=False).contract
    return Runner(contract, {}, failing, predict_batches=failing)


def test_no_images_have_no_logits_and_no_runtime_is_asked_for_them(runner: Runner) -> None:
    nothing = np.zeros((0, 1, 3, 4), np.float32)
    for each in (runner, dataclasses.replace(runner, predict_batches=None)):
        for logits in (each.predict(nothing), each.predict_in_batches(nothing, 7)):
            assert logits.shape == (0, 3)
            assert logits.dtype == np.float32


def test_images_are_given_to_the_runtime(runner: Runner) -> None:
    with pytest.raises(ArtifactError, match="was given 2 images"):
        runner.predict(np.zeros((2, 1, 3, 4), np.float32))


def given(count: int) -> Images:
    """Return images that differ, float32 `[count, 1, 3, 4]`."""
    return np.arange(12 * count, dtype=np.float32).reshape(count, 1, 3, 4)


def first_values(images: Images) -> Logits:
    """Return three of the numbers of each image as its logits."""
    return np.ascontiguousarray(images[:, 0, 0, :3])


def four_at_once(images: Images) -> Logits:
    """Return the logits of an artifact that takes four images, as `first_values` gives them."""
    assert len(images) == 4
    return first_values(images)


def test_the_last_batch_is_filled_up_where_an_artifact_takes_one_size_only(runner: Runner) -> None:
    images = given(6)
    fixed = dataclasses.replace(
        runner, contract=dataclasses.replace(runner.contract, batch=4), predict=four_at_once, predict_batches=None
    )
    assert np.array_equal(fixed.predict_in_batches(images, 4), first_values(images))
    several = dataclasses.replace(runner, predict=first_values, predict_batches=None)
    assert np.array_equal(several.predict_in_batches(images, 4), first_values(images))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda images: first_values(images)[:1], r"float32 \[1, 3\]"),
        (lambda images: first_values(images).ravel(), r"float32 \[9\]"),
        (lambda images: first_values(images).astype(np.float64), r"float64 \[3, 3\]"),
    ],
)
def test_what_are_not_the_logits_of_each_image_is_an_error(answer: Predict, found: str) -> None:
    with pytest.raises(ArtifactError, match=f"a batch of 3 images gives {found}, expected float32 .3, classes."):
        predict_in_batches(answer, given(3), 3)


def test_another_number_of_logits_than_labels_is_an_error(runner: Runner) -> None:
    def two(images: Images, _: int = 1) -> Logits:
        return first_values(images)[:, :2]

    for each in (
        dataclasses.replace(runner, predict_batches=two),
        dataclasses.replace(runner, predict=two, predict_batches=None),
    ):
        with pytest.raises(ArtifactError, match="it gives 2 logits for 3 labels"):
            each.predict_in_batches(given(3), 2)


def test_one_image_is_given_as_often_as_an_artifact_takes_images() -> None:
    assert np.array_equal(at_batch_one(four_at_once, 4)(given(1)), first_values(given(1)))
    for batch in (None, 1):
        assert at_batch_one(first_values, batch) is first_values


def test_an_artifact_of_several_images_is_timed_from_here(runner: Runner) -> None:
    def there(_: Images, __: float) -> tuple[AnyArray, int | None]:
        return np.zeros(5), 77

    one = dataclasses.replace(runner, time_calls=there)
    assert one.time(given(2), 0.0)[1] == 77
    fixed = dataclasses.replace(one, contract=dataclasses.replace(runner.contract, batch=4), predict=four_at_once)
    seconds, memory = fixed.time(given(2), 0.0)
    assert memory is None
    assert (seconds > 0).all()
    here = dataclasses.replace(runner, predict=first_values)
    assert here.time(given(2), 0.0)[1] == 0


def test_images_of_another_shape_or_number_of_channels_are_refused() -> None:
    check_shape(given(2), (1, 3, 4))
    for shape in ((3, 3, 4), (1, 4, 3)):
        with pytest.raises(ArtifactError, match=r"it takes images of shape \[\d, \d, \d\], not \[1, 3, 4\]"):
            check_shape(given(2), shape)


def test_it_is_closed_at_the_end_of_its_block_also_where_that_fails(runner: Runner) -> None:
    closed = []
    opened = dataclasses.replace(runner, close=lambda: closed.append(True))
    with opened as entered:
        assert entered is opened
    with pytest.raises(ArtifactError), opened:
        opened.predict(given(1))
    assert len(closed) == 2
