import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.training.calibration import BINS, choose_temperature, fit_temperature, reliability
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split
from mnist_edge.training.loop import predict_logits
from tests.conftest import RELEASED


@pytest.mark.slow
@given(st.floats(0.3, 4.0), st.integers(0, 100))
def test_the_temperature_of_drawn_labels_is_found(temperature: float, seed: int) -> None:
    """Labels drawn from the softmax at a temperature are most likely at that temperature."""
    noise = np.random.default_rng(seed)
    logits = noise.normal(0, 2, (4000, 10)).astype(np.float32)
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    labels = (probabilities.cumsum(axis=1) > noise.random((4000, 1))).argmax(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.12)
    assert reliability(logits, labels, temperature).error < 0.04


def test_a_temperature_is_kept_where_it_helps_images_that_it_was_not_fitted_on() -> None:
    noise = np.random.default_rng(1)
    logits = noise.normal(0, 3, (3000, 10)).astype(np.float32)
    for temperature, kept in ((2.0, True), (0.5, True), (1.0, False)):
        probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
        labels = (probabilities.cumsum(axis=1) > noise.random((3000, 1))).argmax(axis=1)
        assert choose_temperature(logits, labels) == (fit_temperature(logits, labels) if kept else 1.0)


def test_the_released_models_temperature_does_not_add_to_the_calibration_error(
    released: Checkpoint, test_data: Split
) -> None:
    logits, labels = predict_logits(released.build(), test_data.images).numpy(), test_data.labels.numpy()
    without, with_it = (reliability(logits, labels, temperature).error for temperature in (1.0, released.temperature))
    assert with_it <= without


def test_the_bins_are_counted_by_hand() -> None:
    logits = np.log(
        np.array([[0.5, 0.3, 0.2], [0.98, 0.01, 0.01], [0.97, 0.02, 0.01], [0.39, 0.36, 0.25]], dtype=np.float32)
    )
    result = reliability(logits, np.array([0, 0, 1, 2]), 1.0)
    assert sum(result.counts) == 4
    assert {index: count for index, count in enumerate(result.counts) if count} == {5: 1, 7: 1, 14: 2}
    assert result.confidence[14] == pytest.approx(0.975)
    assert result.accuracy[14] == 0.5
    assert result.error == pytest.approx((0.5 + 2 * 0.475 + 0.39) / 4)
    assert len(result.counts) == BINS


def test_the_released_model_is_calibrated(test_data: Split) -> None:
    assert evaluate(open_model(RELEASED), test_data).calibration_error <= 0.005
