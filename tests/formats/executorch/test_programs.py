"""An ExecuTorch program runs in the sandbox; a file that is none, or is damaged, ends in one line."""

import json
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from torch import Tensor, nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.executorch import exporter
from mnist_edge.formats.executorch.texts import padded
from mnist_edge.formats.logs import silent
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> bytes:
    (artifact,) = [a for a in exported if a.format == "executorch" and a.contract.precision == "fp32"]
    return artifact.path.read_bytes()


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 4 + b"ET12" + b"\xff" * 4_000])
def test_what_is_not_a_program_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError) as caught:
        FORMATS["executorch"].open(Bundle.of_file(data))
    assert "\n" not in str(caught.value)


def test_a_cut_off_program_is_refused(good: bytes) -> None:
    with pytest.raises(ArtifactError) as caught:
        FORMATS["executorch"].open(Bundle.of_file(good[: len(good) // 2]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("position", range(0, 1_200, 60))
def test_a_damaged_program_is_an_error_or_gives_answers_never_a_crash_here(position: int, good: bytes) -> None:
    damaged = good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :]
    reason = ""
    try:
        with FORMATS["executorch"].open(Bundle.of_file(damaged)) as runner:
            runner.predict_in_batches(runner.test_vectors.inputs, 1)
    except ArtifactError as error:
        reason = str(error)
    assert "\n" not in reason


def test_only_the_texts_of_a_program_may_differ(good: bytes) -> None:
    program = FORMATS["executorch"].program
    with FORMATS["executorch"].open(Bundle.of_file(good)) as runner:
        text = padded(runner.contract.to_json()).encode()
    (expected,) = program(Bundle.of_file(good)).values()
    assert len(expected) == len(good)
    assert text not in expected
    assert good.count(text) == 1
    for data, same in (
        (good.replace(text, text[::-1]), True),
        (good + text, False),
        (good + 3 * text, False),
        (good + b" ", False),
    ):
        assert (program(Bundle.of_file(data)) == {"program": expected}) is same


@pytest.mark.slow
def test_running_one_leaves_the_compilers_unimported() -> None:
    program = "import json, sys, mnist_edge.formats.executorch.session; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "executorch.runtime" in imported
    assert imported.isdisjoint({"executorch.exir", "executorch.exir._warnings", "torch._dynamo", "torch._inductor"})


@pytest.mark.slow
def test_its_bundled_program_passes_in_executorchs_own_harness(good: bytes) -> None:
    with FORMATS["executorch"].open(Bundle.of_file(good)) as runner:
        vectors = runner.test_vectors
    (data,) = FORMATS["executorch"].harness_files(Bundle.of_file(good), vectors).values()
    with silent():  # it warns while it is imported
        from executorch.extension.pybindings import portable_lib
    bundled = portable_lib._load_bundled_program_from_buffer(data)
    for index in range(25):
        (logits,) = bundled.verify_result_with_bundled_expected_output("forward", index, rtol=1e-4, atol=1e-4)
        assert np.abs(logits.numpy() - vectors.expected_logits[index]).max() < 1e-4
    with pytest.raises(RuntimeError):  # it compares: no float is equal to the last bit
        bundled.verify_result_with_bundled_expected_output("forward", 0, rtol=0, atol=0)


@pytest.mark.slow
def test_texts_put_in_afterwards_give_the_program_that_is_lowered_with_them(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = FORMATS["executorch"]
    (scheme,) = [scheme for scheme in spec.schemes if scheme.name == "dynamic-s8-channel"]
    request = reference.request(spec, scheme, spec.options)
    lower, lowered = exporter._program, []

    def counted(model: nn.Module, sample: Tensor, texts: Mapping[str, str]) -> bytes:
        lowered.append(texts)
        return lower(model, sample, texts)

    monkeypatch.setattr(exporter, "_program", counted)
    once = exporter.export(reference.checkpoint.build(), [request])
    assert len(lowered) == 1
    monkeypatch.setattr(exporter, "_with_texts", lambda *_: None)
    assert exporter.export(reference.checkpoint.build(), [request]) == once
    assert len(lowered) == 3


def test_texts_of_nearly_the_same_length_take_the_same_room() -> None:
    assert len(padded("{}")) == len(padded("{}" * 100)) == 2_048
    assert len(padded("x" * 2_049)) == 4_096
