"""What every format in every scheme must do, read off the registry: adding a format adds its tests."""

import io
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ChecksumError
from mnist_edge.exporting.pipeline import Artifact, artifact_name, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.registry import FORMATS, format_of, open_artifact, read_artifact
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.parity.layerwise import compare_layers
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, eager_predictor
from mnist_edge.parity.verify import verify
from mnist_edge.runtime.selfcheck import selfcheck_path
from mnist_edge.training.datasets.splits import Split
from tests.conftest import INSTALLED

SPECS = list(FORMATS.values())
WRITTEN = [(spec, precision) for spec in SPECS for precision in spec.precisions]
SCHEMES = [(spec, scheme) for spec in SPECS for scheme in spec.schemes]

for_each_format = pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
for_each_artifact = pytest.mark.parametrize(
    ("spec", "precision"), WRITTEN, ids=[f"{spec.name}-{precision}" for spec, precision in WRITTEN]
)
for_each_scheme = pytest.mark.parametrize(
    ("spec", "scheme"), SCHEMES, ids=[f"{spec.name}-{scheme.name}" for spec, scheme in SCHEMES]
)


@pytest.fixture(scope="module")
def bundles(exported: list[Artifact], reference: Reference) -> dict[tuple[str, str], Bundle]:
    """The released checkpoint in every scheme of every format, exported once more and judged by nobody.

    In reverse: an exporter that shares a conversion gives the same whatever it has made of it before.
    """
    made: dict[tuple[str, str], Bundle] = {}
    for spec in INSTALLED:
        producer = artifact_of(exported, spec, spec.precisions[0]).contract.producer
        requests = [request(reference, spec, scheme, producer) for scheme in reversed(spec.schemes)]
        exported_again = spec.exporter().export(reference.checkpoint.build(), requests)
        for asked, bundle in zip(requests, exported_again, strict=True):
            made[spec.name, asked.scheme.name] = bundle.with_checksum()
    return made


def request(reference: Reference, spec: FormatSpec, scheme: Scheme, producer: dict[str, str]) -> ExportRequest:
    asked = reference.request(spec, scheme, spec.options)
    return replace(asked, contract=replace(asked.contract, producer=producer))


def artifact_of(exported: list[Artifact], spec: FormatSpec, precision: Precision) -> Artifact:
    (found,) = [a for a in exported if (a.format, a.contract.precision) == (spec.name, precision)]
    return found


@pytest.mark.slow
@for_each_artifact
def test_it_gives_the_trained_models_answers(
    spec: FormatSpec, precision: Precision, exported: list[Artifact], reference: Reference
) -> None:
    artifact = artifact_of(exported, spec, precision)
    scheme = spec.scheme(artifact.contract.scheme)
    assert scheme is not None
    tolerance = scheme.tolerance
    seen = {Precision.INT8: 1.0, Precision.INT4: 5.0}  # where the tolerance bounds answers alone
    allowed = tolerance.max_abs_diff or seen[precision]
    *small, large = spec.batches(scheme)
    with open_artifact(read_artifact(artifact.path)) as runner:
        logits = runner.predict_in_batches(reference.images, large)
        sample = reference.sample()
        for batch in small:
            assert np.abs(runner.predict_in_batches(sample.images, batch) - sample.logits).max() <= allowed
    answers = logits.argmax(axis=1)
    assert np.abs(logits - reference.logits).max() <= allowed
    assert (answers == reference.logits.argmax(axis=1)).mean() >= tolerance.min_agreement
    assert reference.accuracy - (answers == reference.labels).mean() <= tolerance.max_accuracy_drop + 1e-12


@for_each_artifact
def test_its_files_are_known_again_and_may_be_replaced(
    spec: FormatSpec, precision: Precision, exported: list[Artifact]
) -> None:
    bundle = read_artifact(artifact_of(exported, spec, precision).path).bundle
    assert spec.names_contract(bundle)
    assert not spec.names_contract(replace(bundle, files=dict.fromkeys(bundle.files, b"\x89PNG")))


def test_float32_is_held_to_every_answer_and_int8_to_nearly_all() -> None:
    """The promises of the README, written out: a scheme can't loosen them unseen."""
    promised = {
        Precision.FP32: ((1, 7, 1_000), 1e-4, 1.0, 0.0),
        Precision.INT8: ((1,), None, 0.998, 0.0010),
        Precision.INT4: ((1, 7, 1_000), None, 0.995, 0.0020),
    }
    for _, scheme in SCHEMES:
        tolerance = scheme.tolerance
        found = (tolerance.batches, tolerance.max_abs_diff, tolerance.min_agreement, tolerance.max_accuracy_drop)
        assert found == promised.get(scheme.precision, found)
        four_bits = scheme.precision is Precision.INT4
        assert tolerance.min_agreement >= (0.995 if four_bits else 0.998)
        assert tolerance.max_accuracy_drop <= (0.0020 if four_bits else 0.0010)
        assert scheme.device_bound <= (0.5 if scheme.name == "static-qdq-channel" else 0.15)  # a step of a logit


@for_each_artifact
def test_its_report_passes_with_every_check(
    spec: FormatSpec, precision: Precision, exported: list[Artifact], reports: dict[str, ParityReport]
) -> None:
    artifact = artifact_of(exported, spec, precision)
    report = reports[artifact.path.name]
    assert report, report.problems
    codes = [check.code for check in report.checks]
    scheme = spec.scheme(artifact.contract.scheme)
    assert scheme is not None
    batches = [f"batch_{batch}" for batch in spec.batches(scheme)]
    content = ["manifest", "checksum", "checkpoint", "contract", "structure", "weights", "test_vectors", "program"]
    with read_artifact(artifact.path).open() as runner:
        figures = ["figures"] if runner.figures else []
    others = ["selfcheck", "batch_invariance", "synthetic_inputs", "nonfinite_inputs"]
    assert codes == [*content, *batches, *others, *figures]
    unavailable = {check.code for check in report.checks if not check.available}
    assert unavailable == (set() if spec.readable_weights else {"weights"}) | (
        set() if spec.batch is None else {"batch_invariance"}
    )


@for_each_artifact
def test_it_is_evaluated_and_checks_itself(
    spec: FormatSpec, precision: Precision, exported: list[Artifact], test_data: Split
) -> None:
    artifact = artifact_of(exported, spec, precision)
    part = Split(test_data.images[:500], test_data.labels[:500])
    assert evaluate(open_model(artifact.path), part).accuracy > 0.98
    check = selfcheck_path(artifact.path)
    assert check
    assert check.agreement == check.images == 25


@pytest.mark.slow
@for_each_artifact
def test_its_layers_are_shown_if_the_format_says_so(
    spec: FormatSpec, precision: Precision, exported: list[Artifact], reference: Reference
) -> None:
    artifact = artifact_of(exported, spec, precision)
    report = verify(read_artifact(artifact.path), reference.sample(), layers=True)
    assert (report.layers is not None) == spec.intermediates
    assert bool(report.layers_unavailable_reason) != spec.intermediates
    if report.layers is not None:
        assert bool(report.layers) == (precision is Precision.FP32)


@pytest.mark.slow
@for_each_scheme
def test_each_scheme_gives_what_its_operators_define_and_says_whether_batches_matter(
    spec: FormatSpec, scheme: Scheme, bundles: dict[tuple[str, str], Bundle], reference: Reference
) -> None:
    images = reference.images[:200]
    with spec.open(bundles[spec.name, scheme.name]) as runner:
        vectors = runner.test_vectors
        assert vectors.bound == scheme.device_bound
        alone = runner.predict_in_batches(images, spec.batch or 1)
        if spec.batch is None:
            together = runner.predict_in_batches(images, len(images))
            assert (np.abs(alone - together).max() <= 1e-4) == scheme.batch_invariant
        given = runner.predict_in_batches(vectors.inputs, spec.batch or 1)
    saturates = scheme.name in ("dynamic-s8", "dynamic-s8-channel") and spec.name == "onnx"
    assert saturates or np.abs(given - vectors.expected_logits).max() <= scheme.device_bound


@pytest.mark.slow
@for_each_scheme
def test_weights_are_read_back_to_half_a_step(
    spec: FormatSpec, scheme: Scheme, bundles: dict[tuple[str, str], Bundle], reference: Reference
) -> None:
    if not spec.readable_weights:
        pytest.skip(f"{spec.name} does not show its weights")
    artifact = ArtifactFile(Path(f"a{spec.suffix}"), spec, bundles[spec.name, scheme.name])
    with artifact.open() as runner:
        inspection = spec.inspector().inspect(artifact.bundle, runner)
    for name, tensor in reference.checkpoint.weights.items():
        stored = inspection.weights[name]
        trained = tensor.numpy()
        assert stored.dequantized.shape == trained.shape
        allowed = np.where(stored.saturated, 1.0, 0.502) * stored.step + 1e-6
        assert (np.abs(stored.dequantized - trained) <= allowed).all()
    assert inspection.summary.parameters == 109_386


@pytest.mark.slow
@for_each_artifact
def test_the_same_checkpoint_gives_the_same_bytes(
    spec: FormatSpec, precision: Precision, exported: list[Artifact], bundles: dict[tuple[str, str], Bundle]
) -> None:
    """The other export was most often made by another process."""
    artifact = artifact_of(exported, spec, precision)
    again = bundles[spec.name, artifact.contract.scheme]
    assert again.digest == artifact.sha256
    assert again.files == read_artifact(artifact.path).bundle.files


@pytest.mark.slow
@for_each_format
def test_no_path_of_the_building_machine_is_in_an_artifact(
    spec: FormatSpec, bundles: dict[tuple[str, str], Bundle]
) -> None:
    path = re.compile(rb"/(home|tmp|root|usr|work|Users|opt|var|mnt)/|site-packages|[\w/]+\.py\b(?!PK|FB)")
    for scheme in spec.schemes:
        for name, data in bundles[spec.name, scheme.name].files.items():
            for member, content in members(name, data).items():
                assert not re.search(path, content), f"{scheme.name}: {member}"


def members(name: str, data: bytes) -> dict[str, bytes]:
    """Return what is inside a file: the members of an archive, or the file itself."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return {name: data}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


@pytest.mark.slow
@for_each_format
def test_a_changed_byte_is_found_by_the_checksum(spec: FormatSpec, bundles: dict[tuple[str, str], Bundle]) -> None:
    bundle = bundles[spec.name, spec.schemes[0].name]
    bundle.verify_checksum()
    for name, data in bundle.files.items():
        for position in np.linspace(0, len(data) - 1, 40).astype(int):
            changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            with pytest.raises(ChecksumError):
                Bundle({**bundle.files, name: changed}, bundle.folder).verify_checksum()


@for_each_format
def test_suffixes_are_told_apart_and_options_have_defaults(spec: FormatSpec, reference: Reference) -> None:
    task = reference.checkpoint.task
    for precision in spec.precisions:
        assert format_of(Path(artifact_name(task, "mlp", spec, precision))) is spec
    assert len({scheme.name for scheme in spec.schemes}) == len(spec.schemes)
    assert spec.missing_to_export() == spec.missing_to_run() == []


@pytest.mark.slow
@for_each_format
def test_a_runner_imports_only_what_its_spec_says(spec: FormatSpec) -> None:
    """In a process that can see everything, neither PyTorch nor ONNX comes along unless the spec names it."""
    program = f"import sys, {spec.module}.runner; print({{'torch', 'onnx'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = set(re.findall(r"\w+", done.stdout.removeprefix("set")))
    assert found <= set(spec.run_packages)


def test_the_registry_imports_no_third_party_package_but_numpy() -> None:
    program = (
        "import sys, mnist_edge.formats.registry\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in found if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['mnist_edge', 'numpy']\n"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["cnn"])
@for_each_format
def test_convolutions_are_exported_too(
    spec: FormatSpec, architecture: str, cnn_reference: Reference, tmp_path: Path
) -> None:
    settings = ExportSettings([spec], [spec.precisions[0]])
    (artifact,) = export_artifacts(cnn_reference, settings, tmp_path)
    assert artifact.report
    task = cnn_reference.checkpoint.task
    assert artifact.path.name == artifact_name(task, architecture, spec, spec.precisions[0])
    if spec.intermediates:
        read = read_artifact(artifact.path)
        assert compare_layers(read, cnn_reference.checkpoint.build(), cnn_reference.images, 100)


def test_eager_is_its_own_reference(reference: Reference) -> None:
    assert np.array_equal(eager_predictor(reference.checkpoint)(reference.images[:1_000]), reference.logits[:1_000])
