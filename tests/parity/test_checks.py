"""Batch invariance, synthetic inputs, NaN and infinity."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest

from mnist_edge.artifact.figures import Figures
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.scheme import FLOAT32, INT8_TOLERANCE
from mnist_edge.parity.checks import (
    SHUFFLED_BATCH_SIZES,
    Check,
    as_expected,
    check_batch_invariance,
    check_figures,
    check_nonfinite_inputs,
    check_synthetic_inputs,
    not_available,
    synthetic_inputs,
)
from mnist_edge.parity.evaluate import open_model
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, eager_predictor
from mnist_edge.types import Images, Logits, Predict, PredictInBatches, TensorSpec

FP32_TOLERANCE = FLOAT32.tolerance


def in_batches(predict: Predict) -> PredictInBatches:
    return partial(predict_in_batches, predict)


def test_a_check_is_truthy_unless_it_failed_and_has_a_word_for_it() -> None:
    failed = Check("a", "A", "not as expected", ("one", "two"))
    assert (bool(failed), failed.verdict) == (False, "FAILED")
    passed = as_expected("a", "A", ())
    assert (bool(passed), passed.verdict, passed.found) == (True, "ok", "as expected")
    unavailable = not_available("a", "A", "no reason")
    assert (bool(unavailable), unavailable.verdict) == (True, "not available")
    assert unavailable.found == "no reason"
    infinite = Check("a", "A", "found", figures={"max_abs_diff": float("inf")})
    assert json.loads(json.dumps(infinite.to_json(), allow_nan=False))["figures"] == {"max_abs_diff": None}


def test_what_depends_on_its_batch_is_measured_and_said_so(
    exported: list[Artifact], reports: dict[str, ParityReport]
) -> None:
    for artifact in exported:
        check = reports[artifact.path.name].check("batch_invariance")
        assert check is not None
        spec = FORMATS[artifact.format]
        scheme = spec.scheme(artifact.contract.scheme)
        assert scheme is not None
        if spec.batch is not None:
            assert not check.available
            continue
        assert f"|Δlogit| ≤ {check.figures['max_abs_diff']:.3g}" in check.found
        if scheme.batch_invariant:
            assert check.verdict == ("measured" if scheme.tolerance.max_abs_diff is None else "ok")
            assert check.figures["max_abs_diff"] < 1e-4
        else:
            assert check.verdict == "measured"
            assert check.figures["max_abs_diff"] > 0.01


def test_fp32_that_depends_on_its_batch_fails(reference: Reference) -> None:
    trained = eager_predictor(reference.checkpoint)

    def centered(images: Images) -> Images:
        logits = trained(images)
        return logits - logits.mean(axis=0) / 100 if len(images) > 1 else logits

    images = reference.sample().images
    assert check_batch_invariance(in_batches(trained), FP32_TOLERANCE, images)
    found = check_batch_invariance(in_batches(centered), FP32_TOLERANCE, images)
    assert not found
    assert "between an image alone and in a shuffled batch, allowed 0.0001" in found.problems[0]
    assert check_batch_invariance(in_batches(centered), INT8_TOLERANCE, images).verdict == "measured"


NUMBERED = np.arange(40, dtype=np.float32).reshape(-1, 1, 1, 1)
"""Forty images of one pixel, each with its own value."""


def test_the_images_of_a_batch_are_shuffled() -> None:
    """In their own order, no image would come after a brighter one."""

    def after_a_brighter_one(images: Images) -> Logits:
        values = images[:, 0, 0, 0]
        return np.stack([values, 0.5 * (np.diff(values, prepend=values[0]) < 0)], axis=1).astype(np.float32)

    found = check_batch_invariance(in_batches(after_a_brighter_one), FP32_TOLERANCE, NUMBERED)
    assert not found
    assert found.figures["max_abs_diff"] == 0.5


@pytest.mark.parametrize("size", SHUFFLED_BATCH_SIZES)
def test_what_one_size_of_batch_alone_changes_is_found(size: int) -> None:
    alone = np.zeros((40, 2), np.float32)

    def with_second(value: float) -> PredictInBatches:
        return lambda _, batch: alone + np.array([0, value if batch == size else 0], np.float32)

    off = check_batch_invariance(with_second(-0.25), FP32_TOLERANCE, NUMBERED, alone)
    assert not off
    assert off.figures == {"max_abs_diff": 0.25, "changed": 0, "images": 40}
    flipped = check_batch_invariance(with_second(1), INT8_TOLERANCE, NUMBERED, alone)
    assert flipped.figures == {"max_abs_diff": 1, "changed": 40, "images": 40}


def test_synthetic_inputs_find_what_no_digit_shows(reference: Reference) -> None:
    trained = eager_predictor(reference.checkpoint)
    tensor = reference.checkpoint.task.input
    inputs = np.concatenate(list(synthetic_inputs(tensor).values()))
    assert inputs.shape == (26, 1, 28, 28)
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0, 1)

    def corner(images: Images) -> Images:
        """A weight of a pixel that no test image has ink in."""
        return trained(images) + images[:, :, 0, 0]

    assert reference.images[:, 0, 0, 0].max() == 0
    assert check_synthetic_inputs(trained, trained, FP32_TOLERANCE, tensor)
    found = check_synthetic_inputs(corner, trained, FP32_TOLERANCE, tensor)
    assert "on synthetic inputs, allowed 0.0001" in found.problems[0]
    assert check_synthetic_inputs(corner, trained, INT8_TOLERANCE, tensor)

    def bright(images: Images) -> Images:
        return np.where(images.mean(axis=(1, 2, 3)).reshape(-1, 1) > 0.9, np.nan, trained(images)).astype(np.float32)

    assert "not finite" in check_synthetic_inputs(bright, trained, INT8_TOLERANCE, tensor).problems[0]


TINY = TensorSpec("image", (1, 4, 4))


def of_share(images: Images) -> Logits:
    """Return the logits of a network that divides by the sum of each image: NaN for a black one."""
    with np.errstate(invalid="ignore"):
        share: Images = images.reshape(len(images), -1) / images.sum(axis=(1, 2, 3)).reshape(-1, 1)
    return share[:, :3]


def test_synthetic_inputs_without_finite_logits_have_none_in_the_file_either() -> None:
    same = check_synthetic_inputs(of_share, of_share, FP32_TOLERANCE, TINY)
    assert same
    assert same.found == "|Δlogit| ≤ 0 on 25, 1 without finite logits of the trained model"
    assert same.figures == {"max_abs_diff": 0, "images": 25}

    def answering(images: Images) -> Logits:
        return np.nan_to_num(of_share(images))

    found = check_synthetic_inputs(answering, of_share, FP32_TOLERANCE, TINY)
    assert found.problems == ("finite logits for 1 of the synthetic inputs for which the trained model's are not",)
    assert check_synthetic_inputs(answering, of_share, INT8_TOLERANCE, TINY)
    refused = check_synthetic_inputs(of_share, answering, FP32_TOLERANCE, TINY)
    assert refused.problems == ("some logits are not finite on synthetic inputs",)


def test_a_difference_on_the_other_synthetic_inputs_is_found() -> None:
    found = check_synthetic_inputs(lambda images: of_share(images) + 0.01, of_share, FP32_TOLERANCE, TINY)
    assert "0.01 on synthetic inputs, allowed 0.0001" in found.problems[0]


def test_one_logit_without_a_finite_number_leaves_its_whole_image_out() -> None:
    def first_missing_for_black(images: Images) -> Logits:
        logits = images.reshape(len(images), -1)[:, :3].copy()
        logits[images.sum(axis=(1, 2, 3)) == 0, 0] = np.nan
        return logits

    found = check_synthetic_inputs(first_missing_for_black, first_missing_for_black, FP32_TOLERANCE, TINY)
    assert found
    assert found.figures["images"] == 25


def test_large_logits_may_differ_more_on_synthetic_inputs() -> None:
    def large(images: Images) -> Logits:
        return 1_000 * images.reshape(len(images), -1)[:, :3]

    assert check_synthetic_inputs(lambda images: large(images) + 1e-3, large, FP32_TOLERANCE, TINY)
    assert not check_synthetic_inputs(lambda images: large(images) + 3e-3, large, FP32_TOLERANCE, TINY)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 24), (1, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_synthetic_inputs_are_in_the_range_of_any_tensor(
    shape: tuple[int, int, int], limits: tuple[float, float]
) -> None:
    for inputs in synthetic_inputs(TensorSpec("image", shape, range=limits)).values():
        assert inputs.dtype == np.float32
        assert inputs.shape[1:] == shape
        assert limits[0] <= inputs.min() <= inputs.max() <= limits[1]


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((1, 28, 28), [0, 9, 18, 27], [0, 9, 18, 27]), ((3, 4, 7), [0, 1, 2, 3], [0, 2, 4, 6])],
)
def test_bright_pixels_are_spread_from_corner_to_corner_in_every_channel(
    shape: tuple[int, int, int], rows: list[int], columns: list[int]
) -> None:
    pixels = synthetic_inputs(TensorSpec("image", shape))["one pixel"]
    places = [(row, column) for row in rows for column in columns]
    assert len(pixels) == len(places)
    for image, (row, column) in zip(pixels, places, strict=True):
        expected = np.zeros(shape, np.float32)
        expected[:, row, column] = 1
        assert (image == expected).all()


@pytest.mark.parametrize(("largest", "allowed"), [(1.0, 1e-4), (50.0, 1e-4), (1000.0, 2e-3)])
def test_stated_figures_may_differ_as_trained_models_do_on_two_processors(largest: float, allowed: float) -> None:
    labels = np.array([0, 1])
    trained = (largest * np.eye(2)).astype(np.float32)
    measured = Figures.of(trained, trained, labels)
    assert check_figures(dataclasses.replace(measured, max_abs_diff=0.9 * allowed), trained, trained, labels)
    found = check_figures(dataclasses.replace(measured, max_abs_diff=1.1 * allowed), trained, trained, labels)
    assert found.problems == (f"it says that its max_abs_diff is {1.1 * allowed:g}, and it is 0",)
    assert not check_figures(dataclasses.replace(measured, accuracy=0.5), trained, trained, labels)
    assert not check_figures(dataclasses.replace(measured, images=3), trained, trained, labels).available


@pytest.mark.parametrize("name", ["accuracy", "trained_accuracy", "agreement"])
def test_a_stated_share_must_be_the_measured_one_exactly(name: str) -> None:
    labels = np.arange(10_000) % 2
    logits = np.eye(2, dtype=np.float32)[labels]
    stated = dataclasses.replace(Figures.of(logits, logits, labels), **{name: 0.9999})  # type: ignore[arg-type]
    found = check_figures(stated, logits, logits, labels)
    assert found.problems == (f"it says that its {name} is 0.9999, and it is 1",)


@pytest.mark.slow
def test_an_image_with_nan_or_infinity_gets_no_answer_from_float_artifacts(
    exported: list[Artifact], reference: Reference
) -> None:
    image, trained = reference.images[0], eager_predictor(reference.checkpoint)
    for artifact in exported:
        spec, contract = FORMATS[artifact.format], artifact.contract
        scheme = spec.scheme(contract.scheme)
        assert scheme is not None
        check = check_nonfinite_inputs(open_model(artifact.path).predict, trained, scheme.tolerance, image)
        assert check, artifact.path
        floats = contract.precision in ("fp32", "fp16")
        assert (check.verdict == "ok") == floats
        if floats:  # what rounding makes of NaN depends on the processor
            outcome = "refused" if artifact.format in ("ncnn", "openvino") else "not finite"
            assert check.found == f"NaN {outcome}, +∞ {outcome}, -∞ {outcome}"


def test_an_artifact_that_answers_nan_like_an_image_fails(reference: Reference) -> None:
    trained = eager_predictor(reference.checkpoint)

    def swallows(images: Images) -> Images:
        return trained(np.nan_to_num(images, nan=0, posinf=1, neginf=0))

    def refuses(_: Images) -> Images:
        raise ArtifactError("it takes numbers only")

    image = reference.images[0]
    found = check_nonfinite_inputs(swallows, trained, FP32_TOLERANCE, image)
    assert found.problems == tuple(f"{name} is answered like an image" for name in ("NaN", "+∞", "-∞"))
    assert check_nonfinite_inputs(swallows, trained, INT8_TOLERANCE, image).verdict == "measured"
    assert (
        check_nonfinite_inputs(refuses, trained, FP32_TOLERANCE, image).found == "NaN refused, +∞ refused, -∞ refused"
    )


def test_what_the_trained_model_answers_too_is_not_held_against_an_artifact() -> None:
    """A hyperbolic tangent, a sigmoid or a clamp makes a number of infinity, and nothing of NaN."""
    image = np.zeros((1, 2, 2), np.float32)

    def bounded(images: Images) -> Images:
        return np.tanh(images).reshape(len(images), -1)

    def off_in_one_logit(images: Images) -> Images:
        return bounded(images) + np.array([0, 2e-4, 0, 0], np.float32)

    def swallows(images: Images) -> Images:
        return bounded(np.nan_to_num(images))

    found = check_nonfinite_inputs(bounded, bounded, FP32_TOLERANCE, image)
    assert found.verdict == "ok"
    assert found.found == "NaN not finite, +∞ answered as by the trained model, -∞ answered as by the trained model"
    assert check_nonfinite_inputs(off_in_one_logit, bounded, FP32_TOLERANCE, image).problems == (
        "+∞ is answered like an image",
        "-∞ is answered like an image",
    )
    assert check_nonfinite_inputs(swallows, bounded, FP32_TOLERANCE, image).problems == (
        "NaN is answered like an image",
    )


@pytest.mark.parametrize(("name", "value"), [("NaN", np.nan), ("+∞", np.inf), ("-∞", -np.inf)])
def test_each_number_that_is_not_finite_is_tried(name: str, value: float) -> None:
    def trained(images: Images) -> Logits:
        return images.reshape(len(images), -1)

    def answering_one(images: Images) -> Logits:
        return np.where(np.isclose(images, value, equal_nan=True), np.float32(0), images).reshape(len(images), -1)

    found = check_nonfinite_inputs(answering_one, trained, FP32_TOLERANCE, np.zeros((1, 2, 2), np.float32))
    assert found.problems == (f"{name} is answered like an image",)


def test_what_a_model_without_a_bound_on_logits_makes_of_infinity_is_measured() -> None:
    def bounded(images: Images) -> Logits:
        return np.tanh(images).reshape(len(images), -1)

    found = check_nonfinite_inputs(bounded, bounded, INT8_TOLERANCE, np.zeros((1, 2, 2), np.float32))
    assert (found.verdict, found.found) == ("measured", "NaN not finite, +∞ answered, -∞ answered")
