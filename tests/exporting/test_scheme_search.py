"""Whatever `--quantize` writes holds on every CPU, and the best scheme is the one that is taken."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import onnx
import pytest
import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact, export_artifacts
from mnist_edge.exporting.scheme_search import Candidate, select_scheme
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.tolerance import NO_GOALS, Goals
from mnist_edge.runtime.selfcheck import selfcheck
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.types import Images, Logits
from tests.conftest import RELEASES
from tests.formats.onnx.saturation import on_an_old_cpu, without_vnni

ONNX = FORMATS["onnx"]
SCHEMES = {scheme.name: scheme for scheme in ONNX.schemes_of(Precision.INT8)}
DYNAMIC = [name for name in SCHEMES if name.startswith("dynamic")]
SATURATING = {"dynamic-s8", "dynamic-s8-channel"}


@pytest.fixture(scope="module")
def bundles(reference: Reference) -> dict[str, Bundle]:
    """The released checkpoint in each scheme, judged by nobody."""
    requests = [reference.request(ONNX, scheme, {"opset": 18}) for scheme in SCHEMES.values()]
    found = ONNX.exporter().export(reference.checkpoint.build(), requests)
    return {name: bundle.with_checksum() for name, bundle in zip(SCHEMES, found, strict=True)}


def test_the_emulated_cpu_gives_the_sum_that_was_measured_on_a_real_one() -> None:
    activations, weights = np.full((1, 784), 255, np.uint8), np.full((784, 1), 127, np.int8)
    assert without_vnni(activations, weights) == 12_844_664  # instead of 25,389,840
    assert without_vnni(activations, weights // 2) == 784 * 255 * 63


@pytest.mark.slow
@pytest.mark.parametrize("name", DYNAMIC)
def test_only_the_schemes_that_are_refused_answer_differently_without_vnni(
    name: str, bundles: dict[str, Bundle]
) -> None:
    bundle = bundles[name]
    with ONNX.open(bundle) as runner:
        check = selfcheck(Path("a.onnx"), on_an_old_cpu(bundle, runner))
        problems = ONNX.inspector().inspect(bundle, runner).problems
    if name in SATURATING:
        assert not check
        assert check.max_abs_diff > 2 * check.bound
        assert any("saturate" in problem for problem in problems)
    else:
        assert check
        assert check.max_abs_diff == 0
        assert problems == ()


@pytest.mark.parametrize("name", SCHEMES)
def test_here_each_scheme_gives_what_its_operators_define(name: str, bundles: dict[str, Bundle]) -> None:
    graph = onnx.ModelProto.FromString(bundles[name].data)
    with ONNX.open(bundles[name]) as runner:
        vectors = runner.test_vectors
        logits = runner.predict_in_batches(vectors.inputs, 1)
    saturates_here = name in SATURATING and not np.allclose(logits, vectors.expected_logits, atol=vectors.bound)
    assert saturates_here or np.abs(logits - vectors.expected_logits).max() <= 1e-4
    assert np.array_equal(reference_logits(graph, vectors.inputs), vectors.expected_logits)


@pytest.mark.parametrize("name", [name for name in SCHEMES if name.startswith("weight-only")])
def test_weight_only_answers_do_not_depend_on_the_batch(
    name: str, bundles: dict[str, Bundle], reference: Reference
) -> None:
    images = reference.images[:200]
    with ONNX.open(bundles[name]) as runner:
        alone = runner.predict_in_batches(images, 1)
        assert np.abs(runner.predict(images) - alone).max() <= 1e-4


def test_worst_case_sums_of_the_built_in_models_fit_the_accumulator() -> None:
    """As many products of two unsigned bytes as their widest layer adds."""
    models = [load_checkpoint(path).build() for path in RELEASES.values()]
    widest = max(weight[0].numel() for model in models for weight in model.parameters() if weight.dim() > 1)
    assert widest == 784
    assert widest <= 33_025
    assert 33_025 * 255 * 255 < 2**31 <= 33_026 * 255 * 255


def test_the_best_candidate_is_taken(exported: list[Artifact]) -> None:
    for artifact in exported:
        if len(FORMATS[artifact.format].schemes_of(Precision(artifact.contract.precision))) == 1:
            assert artifact.candidates == ()
            continue
        (taken,) = [candidate for candidate in artifact.candidates if candidate.chosen]
        assert taken.scheme == artifact.contract.scheme
        assert not taken.refusal
        ranks = {candidate.scheme: rank(FORMATS[artifact.format], candidate) for candidate in artifact.candidates}
        assert all(ranks[taken.scheme] <= ranks[other.scheme] for other in artifact.candidates if not other.refusal)


def rank(spec: FormatSpec, candidate: Candidate) -> tuple[float, float, float]:
    scheme = spec.scheme(candidate.scheme)
    assert scheme is not None
    return -candidate.agreement, scheme.device_bound, candidate.max_abs_diff


def test_of_equal_agreement_the_scheme_is_taken_that_differs_least_between_devices(exported: list[Artifact]) -> None:
    (artifact,) = [artifact for artifact in exported if artifact.path.name == "mnist-mlp-int8.onnx"]
    (taken,) = [candidate for candidate in artifact.candidates if candidate.chosen]
    equals = [c for c in artifact.candidates if c.agreement == taken.agreement and not c.refusal]
    assert taken.scheme == "weight-only-s8-channel"
    assert min(equals, key=lambda candidate: candidate.max_abs_diff).scheme == "dynamic-u8-channel"


def test_what_saturates_is_measured_and_refused(exported: list[Artifact]) -> None:
    (artifact,) = [artifact for artifact in exported if artifact.path.name == "mnist-mlp-int8.onnx"]
    assert [candidate.scheme for candidate in artifact.candidates] == list(SCHEMES)
    assert {c.scheme for c in artifact.candidates if "saturate" in c.refusal} == SATURATING


def test_a_scheme_that_keeps_the_goal_is_taken_before_one_that_does_not(
    bundles: dict[str, Bundle], reference: Reference
) -> None:
    names = ["weight-only-s8-channel", "dynamic-u8-channel"]  # of equal agreement
    schemes, given = [SCHEMES[name] for name in names], [bundles[name] for name in names]
    first, second = select_scheme(ONNX, schemes, given, reference, NO_GOALS)
    assert first.chosen
    assert second.max_abs_diff < first.max_abs_diff
    goals = Goals(max_abs_diff=(first.max_abs_diff + second.max_abs_diff) / 2)
    assert [each.chosen for each in select_scheme(ONNX, schemes, given, reference, goals)] == [False, True]


@pytest.mark.slow
def test_a_candidate_that_is_too_large_is_not_taken(bundles: dict[str, Bundle], reference: Reference) -> None:
    smallest = sorted(bundles, key=lambda name: bundles[name].size)[:2]
    schemes, few = [SCHEMES[name] for name in smallest], [bundles[name] for name in smallest]
    limit = few[0].size
    (taken,) = [c for c in select_scheme(ONNX, schemes, few, reference, Goals(max_bytes=limit)) if c.chosen]
    assert taken.size == limit
    with pytest.raises(UserError, match=f"{limit} bytes, allowed {limit - 1}"):
        select_scheme(ONNX, schemes, few, reference, Goals(max_bytes=limit - 1))


def test_a_candidate_that_cannot_be_run_is_refused_and_not_taken(
    bundles: dict[str, Bundle], reference: Reference
) -> None:
    schemes = [SCHEMES["dynamic-u8"], SCHEMES["weight-only-s8"]]
    given = [Bundle.of_file(b"not a model"), bundles["weight-only-s8"]]
    broken, whole = select_scheme(ONNX, schemes, given, reference, NO_GOALS)
    assert whole.chosen
    assert not broken.chosen
    assert broken.refusal
    assert broken.to_json()["max_abs_diff"] is None
    with pytest.raises(UserError, match=r"no scheme of onnx can be taken \(dynamic-u8: "):
        select_scheme(ONNX, schemes[:1], given[:1], reference, NO_GOALS)


STEADY, OTHER, ALIKE = "weight-only-s8-channel", "dynamic-u8-channel", "weight-only-s8"
"""Names of schemes, of which the first and the last may differ as much between devices, the other one more."""


def measured(
    scheme: str,
    *,
    size: int = 1000,
    agreement: float = 0.99,
    max_abs_diff: float = 0.1,
    accuracy: float = 0.98,
    refusal: str = "",
) -> Candidate:
    """Return a candidate, which differs from others in what is given."""
    return Candidate(scheme, size, agreement, max_abs_diff, accuracy, refusal)


@pytest.mark.parametrize(
    ("taken", "left", "goal"),
    [
        (measured(OTHER, agreement=0.995), measured(STEADY), None),
        (measured(STEADY), measured(OTHER, accuracy=1.0), None),
        (measured(STEADY, max_abs_diff=0.2), measured(OTHER), None),
        (measured(STEADY, size=2000), measured(ALIKE, max_abs_diff=0.2), None),
        (measured(STEADY), measured(ALIKE, size=1001), None),
        (measured(OTHER, agreement=0.98), measured(STEADY, max_abs_diff=0.2), 0.15),
        (measured(OTHER, agreement=0.98, max_abs_diff=0.3), measured(STEADY, refusal="it is too large"), 0.15),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_which_of_two_candidates_is_the_better_one(
    taken: Candidate,
    left: Candidate,
    goal: float | None,
    turned: bool,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert SCHEMES[STEADY].device_bound == SCHEMES[ALIKE].device_bound < SCHEMES[OTHER].device_bound
    both = {each.scheme: each for each in ((left, taken) if turned else (taken, left))}
    schemes = [SCHEMES[name] for name in both]
    monkeypatch.setattr("mnist_edge.exporting.scheme_search._evaluate_scheme", lambda _, scheme, *__: both[scheme.name])
    none = [Bundle.of_file(b"")] * 2
    found = select_scheme(ONNX, schemes, none, reference.part(np.arange(1)), Goals(max_abs_diff=goal))
    assert [each.scheme for each in found if each.chosen] == [taken.scheme]
    assert [replace(each, chosen=False) for each in found] == list(both.values())


def test_a_scheme_is_measured_on_validation_images_one_at_a_time(reference: Reference) -> None:
    scheme, seen = SCHEMES[OTHER], []

    def predict(images: Images) -> Logits:
        seen.append(images)
        return np.eye(10, dtype=np.float32)[[3] * len(images)]

    runner = Runner(reference.contract(ONNX, scheme, {"opset": 18}), {}, predict)
    spec = stub(runner)
    (found,) = select_scheme(spec, [scheme], [Bundle.of_file(b"1234")], reference, NO_GOALS)
    assert {len(images) for images in seen} == {1}
    validation = reference.validation
    assert np.array_equal(np.concatenate(seen), validation.images[:50].numpy())
    with torch.inference_mode():
        trained = reference.checkpoint.build()(validation.images[:50]).numpy()
    assert found.agreement == np.mean(trained.argmax(axis=1) == 3)
    assert found.accuracy == np.mean(validation.labels[:50].numpy() == 3)
    assert found.max_abs_diff == pytest.approx(np.abs(trained - predict(trained)).max(), rel=1e-5)
    assert (found.size, found.refusal) == (4, "")
    another = replace(runner, mismatches=("its input is another one",))
    for other, problem in ((stub(another), "its input is another one"), (stub(runner, "it saturates"), "it saturates")):
        with pytest.raises(UserError, match=rf"no scheme of stub can be taken \(dynamic-u8-channel: {problem}\)"):
            select_scheme(other, [scheme], [Bundle.of_file(b"1234")], reference, NO_GOALS)


def stub(runner: Runner, *problems: str) -> FormatSpec:
    """Return a format whose artifacts are all this one, and whose proof may cost 50 images."""
    inspection = SimpleNamespace(problems=problems)
    found = SimpleNamespace(
        name="stub", max_images=50, batch=None, open=lambda _: runner, inspect=lambda *_: inspection
    )
    return cast("FormatSpec", found)


@pytest.mark.slow
def test_a_scheme_can_be_asked_for(reference: Reference, tmp_path: Path) -> None:
    settings = ExportSettings([ONNX], [Precision.INT8], scheme="dynamic-s8-reduced")
    (artifact,) = export_artifacts(reference, settings, tmp_path)
    assert artifact.contract.scheme == "dynamic-s8-reduced"


GOALS = {
    "logits": (Goals(max_abs_diff=1e-9), r"largest \|Δlogit\| is .* allowed 1e-09"),
    "answers": (Goals(min_agreement=1.0), r"of the answers are the same at batch 1, required 100\.00%"),
    "size": (Goals(max_bytes=1000), r"allowed 1000"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOALS)
def test_a_goal_that_is_missed_is_a_failure(name: str, reference: Reference, tmp_path: Path) -> None:
    goals, message = GOALS[name]
    precision = Precision.FP32 if name == "logits" else Precision.INT8
    settings = ExportSettings([ONNX], [precision], goals=goals, scheme="dynamic-u8-channel")
    with pytest.raises(UserError, match=message):
        export_artifacts(reference, settings, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_goals_that_are_kept_change_nothing(reference: Reference, tmp_path: Path) -> None:
    goals = Goals(max_abs_diff=1.0, min_agreement=0.99, max_accuracy_drop=0.01, max_bytes=1_000_000)
    assert export_artifacts(reference, ExportSettings([ONNX], goals=goals), tmp_path)
