from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.batches import BatchLimit
from mnist_edge.formats.openvino.library import core, load_openvino
from mnist_edge.formats.openvino.runner import predictor
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference
from mnist_edge.types import Images, Predict
from tests.parity.unjudged import unjudged


@pytest.fixture(scope="module")
def predict(reference: Reference) -> Predict:
    return unjudged(FORMATS["openvino"], reference).open().predict


def test_arrays_of_any_layout_give_the_same_logits(predict: Predict, reference: Reference) -> None:
    """Memory that is shared with the runtime must outlive the call."""
    images: Images = reference.images[:100]
    expected = predict(images)
    frozen = images.copy()
    frozen.flags.writeable = False
    others = {
        "column by column": np.asfortranarray(images),
        "backwards": images[:, :, :, ::-1].copy()[:, :, :, ::-1],
        "read-only": frozen,
        "the other byte order": images.astype(">f4"),
    }
    for name, other in others.items():
        for _ in range(20):
            assert np.array_equal(predict(other), expected), name


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_value_that_is_not_finite_is_refused(value: float, predict: Predict, reference: Reference) -> None:
    images: Images = reference.images[:3].copy()
    images[1, 0, 5, 5] = value
    with pytest.raises(ArtifactError, match="it takes numbers that are finite"):
        predict(images)


def test_threads_may_share_it(predict: Predict, reference: Reference) -> None:
    expected = [predict(reference.images[index : index + 1]) for index in range(200)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda index: predict(reference.images[index : index + 1]), range(200)))
    assert np.array_equal(np.concatenate(found), np.concatenate(expected))


def test_logits_of_another_number_of_images_are_an_error() -> None:
    opset = load_openvino().opset13
    picture = opset.parameter([-1, 2], np.float32)
    best = opset.reduce_max(picture, opset.constant(np.array([0], np.int64)), keep_dims=True)
    model = load_openvino().Model([best], [picture], "best")
    run = predictor(core().compile_model(model, "CPU"), BatchLimit(model))
    assert run(np.ones((1, 2), np.float32)).shape == (1, 2)
    with pytest.raises(ArtifactError, match=r"gives logits of shape \[1, 2\] for 3 images"):
        run(np.ones((3, 2), np.float32))
