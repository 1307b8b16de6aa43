"""The check of an artifact on emulated devices."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.formats.c import devices
from mnist_edge.formats.device_run import DeviceRun
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.targets import chosen_targets
from mnist_edge.parity.devices import equal_logits, on_devices, read_on_devices
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify
from mnist_edge.types import Images, Logits
from tests.parity.unjudged import unjudged

C, ONNX = FORMATS["c"], FORMATS["onnx"]


@pytest.fixture(scope="module")
def few(reference: Reference) -> Reference:
    return reference.part(np.arange(20))


@pytest.fixture(scope="module")
def artifact(few: Reference) -> ArtifactFile:
    return unjudged(C, few, "static-u8-channel")


@pytest.fixture(scope="module")
def report(artifact: ArtifactFile, few: Reference) -> ParityReport:
    return verify(artifact, few)


def test_targets_are_chosen_by_name() -> None:
    assert chosen_targets([], [ONNX]) == ()
    assert set(chosen_targets(["all"], [ONNX, C])) >= set(C.targets)
    assert chosen_targets(["wasm32", "cortex-m4", "wasm32"], [C]) == ("cortex-m4", "wasm32")
    with pytest.raises(UserError, match=r"unknown target 'z80': expected one of cortex-m0plus, .*, wasm32, all"):
        chosen_targets(["z80"], [C])
    with pytest.raises(UserError, match="none of these formats runs on emulated devices"):
        chosen_targets(["all"], [FORMATS["ncnn"]])


@pytest.mark.slow
def test_a_device_is_a_check_and_figures(report: ParityReport, artifact: ArtifactFile, few: Reference) -> None:
    judged = on_devices(report, artifact, few, ["wasm32"])
    assert judged
    check = judged.check("target_wasm32")
    assert check is not None
    assert check.found == f"logits of {len(few.images)} of {len(few.images)} images equal"
    (device,) = json.loads(json.dumps(judged.summary()))["devices"]
    assert device["equal_logits"] == device["equal_answers"] == device["images"] == len(few.images)
    assert device["flash"] == device["code"] + device["constants"] > 110_000
    assert device["ram"] == device["variables"] + device["stack"]
    assert device["instructions"]["least"] <= device["instructions"]["median"] <= device["instructions"]["most"]
    assert device["tools"].startswith("zig cc ")


def test_what_does_not_run_on_devices_stays_as_it_is(
    report: ParityReport, artifact: ArtifactFile, few: Reference
) -> None:
    assert on_devices(report, artifact, few, []) is report
    assert on_devices(report, dataclasses.replace(artifact, spec=ONNX), few, ["wasm32"]) is report
    not_run = dataclasses.replace(report, statistics=None)
    assert on_devices(not_run, artifact, few, ["wasm32"]) is not_run
    assert read_on_devices(not_run, few, ["wasm32"]) is not_run


def test_an_artifact_that_stops_here_fails(
    report: ParityReport, artifact: ArtifactFile, few: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object) -> Logits:
        raise ArtifactError("it stopped")

    genuine = FormatSpec.open
    monkeypatch.setattr(
        FormatSpec, "open", lambda spec, bundle: dataclasses.replace(genuine(spec, bundle), predict_batches=stops)
    )
    assert on_devices(verify(artifact, few), artifact, few, ["wasm32"]).devices == ()
    judged = on_devices(report, artifact, few, ["wasm32"])
    assert judged.problems == ("it stopped",)
    assert judged.devices == ()


def test_a_file_that_was_replaced_or_deleted_since_is_not_run(
    report: ParityReport, artifact: ArtifactFile, few: Reference, tmp_path: Path
) -> None:
    path = tmp_path / "a.h"
    path.write_bytes(artifact.bundle.data)
    found = dataclasses.replace(report, path=path)
    assert read_on_devices(found, few, ["wasm32"], images=1).check("target_wasm32")
    path.write_bytes(artifact.bundle.data + b"\n")
    judged = read_on_devices(found, few, ["wasm32"])
    assert judged.problems == ("it was replaced while it was judged",)
    assert read_on_devices(found, few, ["mips"]) is found
    path.unlink()
    (problem,) = read_on_devices(found, few, ["wasm32"]).problems
    assert problem.startswith("it can't be read again: ")


def test_one_bit_of_one_logit_fails(
    report: ParityReport, artifact: ArtifactFile, few: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = devices.run_on

    def off_by_a_bit(bundle: Bundle, name: str, images: Images) -> DeviceRun:
        run = genuine(bundle, name, images)
        logits = run.logits.copy()
        logits[3, 4] = np.nextafter(logits[3, 4], np.float32(100))
        return dataclasses.replace(run, logits=logits)

    monkeypatch.setattr(devices, "run_on", off_by_a_bit)
    judged = on_devices(report, artifact, few, ["wasm32"], images=5)
    assert judged.problems == ("wasm32 gives other logits than this machine for 1 of 5 images",)


def test_a_device_that_stops_fails(
    report: ParityReport, artifact: ArtifactFile, few: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object) -> DeviceRun:
        raise ArtifactError("it stopped")

    monkeypatch.setattr(devices, "run_on", stops)
    judged = on_devices(report, artifact, few, ["wasm32"])
    assert judged.problems == ("wasm32: it stopped",)
    assert judged.devices == ()


def test_zeros_of_both_signs_are_not_the_same_bits() -> None:
    assert equal_logits(np.zeros((2, 3), np.float32), np.array([[0, 0, 0], [0, -0.0, 0]], np.float32)) == 1
