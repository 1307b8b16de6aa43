"""Exported files give the same answers on 64-bit ARM: in its own runtimes, by an emulator, where that is installed."""

from pathlib import Path

import numpy as np
import pytest

from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats import arm64
from mnist_edge.formats.device_run import DeviceRun
from mnist_edge.formats.onnx import devices
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.formats.targets import chosen_targets
from mnist_edge.parity.devices import read_on_devices
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference

needs_emulator = pytest.mark.skipif(bool(arm64.unavailable()), reason=arm64.unavailable())

EXACT = {"numpy": ["int8"]}
"""Whose logits are the same to the last bit on every processor."""


@needs_emulator
@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "litert", "numpy"])
def test_every_precision_gives_there_what_it_gives_here(
    name: str, exported: list[Artifact], reports: dict[str, ParityReport], reference: Reference
) -> None:
    artifacts = [artifact for artifact in exported if artifact.format == name]
    assert len(artifacts) >= 2
    for artifact in artifacts:
        report = read_on_devices(reports[artifact.path.name], reference, ["aarch64"], images=400)
        assert report, report.problems
        check = report.check("target_aarch64")
        assert check is not None
        assert check.figures["images"] == check.figures["equal_answers"] == 400
        exact = artifact.contract.precision in EXACT.get(name, [])
        assert not exact or check.figures["equal_logits"] == 400
        (run,) = report.devices
        assert "qemu-aarch64" in run.tools
        assert set(run.to_json()) == {"target", "title", "tools"}


@needs_emulator
@pytest.mark.slow
def test_what_cannot_be_run_there_is_an_error_in_one_line(exported: list[Artifact]) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp.onnx"]
    with pytest.raises(ArtifactError, match="it ended with 1") as caught:
        arm64.run_on("onnx", read_artifact(artifact.path).bundle, "aarch64", np.zeros((2, 1, 14, 14), np.float32))
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exported: list[Artifact]) -> None:
    bundle = read_artifact(exported[0].path).bundle
    monkeypatch.setattr(arm64, "_emulator", lambda: "qemu-aarch64")
    monkeypatch.delenv(arm64.ROOT_VARIABLE, raising=False)
    with pytest.raises(UserError, match=r"cannot emulate aarch64: MNIST_EDGE_ARM64_ROOT does not name"):
        arm64.run_on("onnx", bundle, "aarch64", np.zeros((1, 1, 28, 28), np.float32))
    monkeypatch.setenv(arm64.ROOT_VARIABLE, str(tmp_path))
    assert arm64.unavailable() == f"{tmp_path} has no usr/bin/python3; make it with examples/arm64/prepare.sh"
    monkeypatch.setattr(arm64, "_emulator", lambda: None)
    assert arm64.unavailable() == "qemu-aarch64 is not installed; apt install qemu-user"
    assert "aarch64" in chosen_targets(["all"], [FORMATS["c"], FORMATS["onnx"]])
    with pytest.raises(UserError, match="nothing can be emulated here: qemu-aarch64 is not installed"):
        chosen_targets(["all"], [FORMATS["onnx"], FORMATS["numpy"]])


def test_logits_that_are_off_by_more_than_the_bound_fail(
    monkeypatch: pytest.MonkeyPatch, exported: list[Artifact], reports: dict[str, ParityReport], reference: Reference
) -> None:
    (artifact,) = [a for a in exported if a.path.name == "mnist-mlp.onnx"]
    with read_artifact(artifact.path).open() as runner:
        logits = runner.predict_in_batches(reference.images[:5], 1)
    for off, passes in ((9e-5, True), (2e-4, False)):
        moved = logits + np.float32(off)
        monkeypatch.setattr(devices, "run_on", lambda *_, moved=moved: DeviceRun("aarch64", "ARM", "", moved))
        report = read_on_devices(reports[artifact.path.name], reference, ["aarch64"], images=5)
        assert bool(report) == passes
        assert report.problems[:1] == (
            ()
            if passes
            else (f"aarch64 gives logits up to {off:.3g} off those of this machine, expected at most 0.0001",)
        )
    monkeypatch.setattr(devices, "run_on", lambda *_: DeviceRun("aarch64", "ARM", "", logits[:, :9]))
    assert read_on_devices(reports[artifact.path.name], reference, ["aarch64"], images=5).problems
