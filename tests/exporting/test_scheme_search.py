"""Whatever `--quantize` writes holds on every CPU, and the best way to quantise is the one that is taken."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.scheme_search import weigh
from mnist_edge.exporting.pipeline import Artefact, export
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.formats.onnx.quantization import SCHEMES, defined_logits
from mnist_edge.parity.comparison import NO_GOALS, TOLERANCES, Goals, Reference
from mnist_edge.formats.torchscript.exporter import TORCHSCRIPT
from mnist_edge.parity.verify import expected_contract
from mnist_edge.artifact.contract import Contract
from mnist_edge.runtime.selfcheck import check_golden
from mnist_edge.formats.onnx.runner import open_session, predictor
from tests.formats.onnx.saturation import old_cpu, without_vnni

DYNAMIC = [scheme for scheme in SCHEMES if scheme.startswith("dynamic")]
SATURATING = {"dynamic-s8", "dynamic-s8-channel"}


@pytest.fixture(scope="module")
def files(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The released checkpoint in each scheme, judged by nobody."""
    folder = tmp_path_factory.mktemp("schemes")
    contracts = [_contract(reference, scheme) for scheme in SCHEMES]
    result = {}
    for scheme, data in zip(
        SCHEMES, ONNX.export(reference.checkpoint.build(), contracts, reference.golden), strict=True
    ):
        result[scheme] = folder / f"{scheme}.onnx"
        result[scheme].write_bytes(data)
    return result


def _contract(reference: Reference, scheme: str) -> Contract:
    return dataclasses.replace(expected_contract(reference, scheme, 18), producer={})


def test_the_emulated_cpu_gives_the_sum_that_was_measured_on_a_real_one() -> None:
    activations, weights = np.full((1, 784), 255, np.uint8), np.full((784, 1), 127, np.int8)
    assert without_vnni(activations, weights) == 12_844_664  # instead of 25,389,840
    assert without_vnni(activations, weights // 2) == 784 * 255 * 63


@pytest.mark.parametrize("scheme", DYNAMIC)
def test_only_the_schemes_that_are_refused_answer_otherwise_without_vnni(scheme: str, files: dict[str, Path]) -> None:
    loaded = ONNX.load(files[scheme])
    check = check_golden(files[scheme], old_cpu(files[scheme]), loaded.contract, loaded.golden)
    if scheme in SATURATING:
        assert not check
        assert check.max_error > 2 * check.bound
        assert any("saturate" in problem for problem in loaded.problems)
    else:
        assert check
        assert check.max_error == 0
        assert loaded.problems == ()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_here_each_scheme_gives_what_its_operators_define(scheme: str, files: dict[str, Path]) -> None:
    graph, golden = onnx.load(files[scheme]), ONNX.load(files[scheme]).golden
    predict = predictor(open_session(files[scheme].read_bytes()))
    logits = np.concatenate([predict(golden.inputs[index : index + 1]) for index in range(len(golden.labels))])
    saturates_here = scheme in SATURATING and not np.allclose(logits, golden.expected, atol=golden.bound)
    assert saturates_here or np.abs(logits - golden.expected).max() <= 1e-4
    assert np.array_equal(defined_logits(graph, golden.inputs), golden.expected)


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme.startswith("weight-only")])
def test_weight_only_answers_do_not_depend_on_the_batch(
    scheme: str, files: dict[str, Path], reference: Reference
) -> None:
    predict = predictor(open_session(files[scheme].read_bytes()))
    alone = np.concatenate([predict(reference.images[index : index + 1]) for index in range(200)])
    assert np.abs(predict(reference.images[:200]) - alone).max() <= 1e-4


def test_worst_case_sums_fit_the_accumulator() -> None:
    """784 products of two unsigned bytes, the widest layer of the built-in models but one; and their widest, 2,352."""
    for inputs in (784, 2_352):
        assert inputs * 255 * 255 < 2**31


def test_the_best_candidate_is_taken(exported: list[Artefact]) -> None:
    for artefact in exported:
        if artefact.contract.precision == "fp32":
            assert artefact.candidates == ()
            continue
        (taken,) = [candidate for candidate in artefact.candidates if candidate.chosen]
        assert taken.scheme == artefact.contract.scheme
        assert not taken.refusal
        for other in artefact.candidates:
            assert other.refusal or (-taken.agreement, taken.max_error) <= (-other.agreement, other.max_error)


def test_what_saturates_is_weighed_and_refused(exported: list[Artefact]) -> None:
    (artefact,) = [artefact for artefact in exported if artefact.path.name == "mnist-mlp-int8.onnx"]
    assert tuple(candidate.scheme for candidate in artefact.candidates) == SCHEMES
    assert {c.scheme for c in artefact.candidates if "saturate" in c.refusal} == SATURATING


def test_a_candidate_that_is_too_large_is_not_taken(files: dict[str, Path], reference: Reference) -> None:
    data = {scheme: path.read_bytes() for scheme, path in files.items()}
    limit = min(map(len, data.values()))
    (taken,) = [candidate for candidate in weigh(ONNX, data, reference, limit) if candidate.chosen]
    assert taken.size == limit
    with pytest.raises(UserError, match=f"{limit} bytes, allowed {limit - 1}"):
        weigh(ONNX, data, reference, limit - 1)


def test_a_scheme_can_be_asked_for(reference: Reference, tmp_path: Path) -> None:
    (artefact,) = export(reference, [ONNX], ["int8"], tmp_path, scheme="dynamic-s8-reduced")
    assert artefact.contract.scheme == "dynamic-s8-reduced"
    with pytest.raises(UserError, match="torchscript has no scheme 'int2': expected one of dynamic-s8"):
        export(reference, [TORCHSCRIPT], ["int8"], tmp_path, scheme="int2")


GOALS = {
    "logits": (Goals(max_error=1e-9), r"largest \|Δlogit\| is .* allowed 1e-09"),
    "answers": (Goals(min_agreement=1.0), r"of the answers are the same at batch 1, required 100\.00%"),
    "size": (Goals(max_bytes=1000), r"allowed 1000"),
}


@pytest.mark.parametrize("name", GOALS)
def test_a_goal_that_is_missed_is_a_failure(name: str, reference: Reference, tmp_path: Path) -> None:
    goals, message = GOALS[name]
    precision = "fp32" if name == "logits" else "int8"
    with pytest.raises(UserError, match=message):
        export(reference, [ONNX], [precision], tmp_path, goals=goals)
    assert list(tmp_path.iterdir()) == []


def test_goals_that_are_kept_change_nothing(reference: Reference, tmp_path: Path) -> None:
    goals = Goals(max_error=1.0, min_agreement=0.99, max_accuracy_drop=0.01, max_bytes=1_000_000)
    assert export(reference, [ONNX], ["fp32"], tmp_path, goals=goals)


def test_a_goal_tightens_and_never_loosens() -> None:
    strict = Goals(max_error=1e-6, min_agreement=0.999, max_accuracy_drop=0.0)
    assert strict.tighten(TOLERANCES["int8"]) == dataclasses.replace(
        TOLERANCES["int8"], max_error=1e-6, min_agreement=0.999, max_accuracy_drop=0.0
    )
    loose = Goals(max_error=5.0, min_agreement=0.5, max_accuracy_drop=0.5)
    assert loose.tighten(TOLERANCES["fp32"]) == TOLERANCES["fp32"]
    assert NO_GOALS.tighten(TOLERANCES["int8"]) == TOLERANCES["int8"]


@pytest.mark.parametrize("goal", [float("nan"), float("inf")])
def test_a_goal_that_is_no_number_is_refused(goal: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(max_error=goal)
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(min_agreement=goal)
    with pytest.raises(ValueError, match="expected a finite number"):
        Goals(max_accuracy_drop=goal)
