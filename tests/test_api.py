"""`mnist_edge.export` and `mnist_edge.verify`, as their docstrings show them."""

import inspect
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mnist_edge
from mnist_edge import api
from mnist_edge.errors import UserError
from mnist_edge.parity.reference import Reference
from tests.conftest import DATA, RELEASED


def example_of(function: object) -> str:
    """Return the lines of a docstring that are indented as code, before its sections."""
    text = inspect.cleandoc(str(function.__doc__)).partition("\nArgs:")[0]
    return textwrap.dedent("\n".join(line for line in text.splitlines() if line.startswith("    ")))


@pytest.mark.slow
def test_the_examples_of_the_docstrings_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder with the checkpoint and the data where the examples have them; they use the quickest scheme."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mnist-mlp.safetensors").symlink_to(RELEASED)
    (tmp_path / "data").symlink_to(DATA)
    monkeypatch.chdir(tmp_path)
    export = example_of(api.export)
    assert "mnist_edge.export(" in export
    exec(export.replace('"int8"]', '"int8"], scheme="dynamic-u8"'), {"mnist_edge": mnist_edge})
    assert "exports/mnist-mlp-int8.onnx" in capsys.readouterr().out
    verify = example_of(api.verify)
    assert "mnist_edge.verify(" in verify
    exec(verify, {"mnist_edge": mnist_edge})


def test_a_reference_saves_reading_the_data(reference: Reference, exports: Path) -> None:
    report = mnist_edge.verify(exports / "mnist-mlp.pt", reference.sample(), data_dir="missing")
    assert report, report.problems
    layers = mnist_edge.verify(str(exports / "mnist-mlp.pt"), reference.sample(), layers=True).layers
    assert layers


@pytest.mark.slow
def test_headers_run_on_devices(reference: Reference, exports: Path, tmp_path: Path) -> None:
    few = reference.part(np.arange(3))
    report = mnist_edge.verify(exports / "mnist-mlp-int8.h", few, targets=["cortex-m4"])
    assert [(run.target, len(run.logits)) for run in report.devices] == [("cortex-m4", 3)]
    report = mnist_edge.verify(exports / "mnist-mlp-int8.h", few, targets=["rv32imc", "cortex-m4"], target_images=1)
    assert [(run.target, len(run.logits)) for run in report.devices] == [("cortex-m4", 1), ("rv32imc", 1)]
    with pytest.raises(UserError, match="unknown target 'z80': expected one of cortex-m0plus, "):
        mnist_edge.export(tmp_path / "missing", formats=["c"], targets=["z80"])
    with pytest.raises(UserError, match="none of these formats runs on emulated devices"):
        mnist_edge.verify(exports / "mnist-mlp.pt", few, targets=["all"])


def test_a_format_that_is_named_twice_is_exported_once(reference: Reference, tmp_path: Path) -> None:
    exported = mnist_edge.export(reference, formats=["onnx", "onnx"], precisions=["fp32", "fp32"], output=tmp_path)
    assert [artifact.path.name for artifact in exported] == ["mnist-mlp.onnx"]


def test_what_is_not_an_artifact_is_replaced_by_force_alone(reference: Reference, tmp_path: Path) -> None:
    mine = tmp_path / "mnist-mlp.pt"
    mine.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"mnist-mlp\.pt is not an artifact of mnist-edge"):
        mnist_edge.export(reference.sample(), formats=["torchscript"], output=tmp_path)
    assert mine.read_bytes() == b"mine"
    (artifact,) = mnist_edge.export(reference.sample(), formats=["torchscript"], output=tmp_path, force=True)
    assert artifact.path == mine
    assert mine.stat().st_size == artifact.size


def test_names_that_are_not_known_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown format 'tflite': expected one of onnx, "):
        mnist_edge.export(tmp_path / "missing", formats=["tflite"])
    with pytest.raises(UserError, match="unknown precision 'int2': expected one of fp32, "):
        mnist_edge.export(tmp_path / "missing", precisions=["int2"])
    with pytest.raises(UserError, match="onnx has no beam: leave out --beam"):
        mnist_edge.export(tmp_path / "missing", options={"beam": 3})
    with pytest.raises(UserError, match=r"the formats are 'onnx', expected a list of names: \['onnx'\]"):
        mnist_edge.export(tmp_path / "missing", formats="onnx")
    with pytest.raises(UserError, match="there is no format to export to"):
        mnist_edge.export(tmp_path / "missing", formats=[])
    with pytest.raises(UserError, match="there is no precision to export in"):
        mnist_edge.export(tmp_path / "missing", precisions=[])
    with pytest.raises(UserError, match="no checkpoint at"):
        mnist_edge.export(tmp_path / "missing")


def test_arguments_that_would_be_ignored_are_refused(reference: Reference, tmp_path: Path) -> None:
    images, labels = reference.images[:5], reference.labels[:5]
    missing = tmp_path / "missing"
    for model in (reference, missing):
        for given in ({"images": images}, {"labels": labels}):
            with pytest.raises(UserError, match="images and labels go with a module: leave them out"):
                mnist_edge.export(model, **given, output=tmp_path)
    for held in (reference, torch.nn.Linear(2, 2)):
        with pytest.raises(UserError, match="architecture goes with the path of a checkpoint: leave it out"):
            mnist_edge.export(held, output=tmp_path, architecture="net.py:Net")
    with pytest.raises(UserError, match="architecture goes with the path of a checkpoint: leave it out"):
        mnist_edge.verify(missing, reference, architecture="net.py:Net")
    with pytest.raises(UserError, match="target_images goes with targets"):
        mnist_edge.verify(missing.with_suffix(".h"), missing, target_images=5)
    with pytest.raises(UserError, match=r"the targets are 'aarch64', expected a list of names: \['aarch64'\]"):
        mnist_edge.verify(missing.with_suffix(".h"), missing, targets="aarch64")
    with pytest.raises(UserError, match=r"the targets are 'aarch64', expected a list of names: \['aarch64'\]"):
        mnist_edge.export(missing, formats=["c"], targets="aarch64")


@pytest.mark.parametrize("asked", [{"scheme": "dynamic-u8"}, {"goals": mnist_edge.Goals(max_bytes=1)}])
def test_what_is_asked_of_quantized_artifacts_is_refused_where_there_are_none(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    for precisions in (None, ["fp32"]):
        with pytest.raises(UserError, match="scheme and max_bytes go with a precision below fp32: name one, such as"):
            mnist_edge.export(tmp_path / "missing", formats=["onnx"], precisions=precisions, **asked)
    with pytest.raises(UserError, match="no checkpoint at"):
        mnist_edge.export(tmp_path / "missing", precisions=["fp32", "int8"], **asked)
    with pytest.raises(UserError, match="no checkpoint at"):  # its first precision is int8
        mnist_edge.export(tmp_path / "missing", formats=["page"], goals=mnist_edge.Goals(max_bytes=1))


@pytest.mark.parametrize("images", [0, -1])
def test_devices_are_given_one_image_at_least(images: int) -> None:
    with pytest.raises(UserError, match=f"target_images is {images}, expected 1 or more, or None for all"):
        mnist_edge.verify("missing.h", "missing", targets=["cortex-m4"], target_images=images)


def test_public_names_are_found_and_others_are_not() -> None:
    assert set(dir(mnist_edge)) == set(mnist_edge.__all__)
    for name in mnist_edge.__all__:
        assert getattr(mnist_edge, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        getattr(mnist_edge, "missing")  # noqa: B009 - a type checker knows that there is none
