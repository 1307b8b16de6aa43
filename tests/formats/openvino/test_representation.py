"""An intermediate representation is read as text before OpenVINO is given it, and OpenVINO reports nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.openvino.representation import GRAPH, WEIGHTS, check_representation
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.formats.scheme import Precision
from mnist_edge.parity.reference import Reference

Change = Callable[[dict[str, bytes]], dict[str, bytes]]


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> Bundle:
    (artifact,) = [a for a in exported if a.format == "openvino" and a.contract.precision == "fp32"]
    return read_artifact(artifact.path).bundle


def in_graph(old: str, new: str) -> Change:
    def changed(files: dict[str, bytes]) -> dict[str, bytes]:
        graph = files[GRAPH].decode()
        assert re.search(old, graph, re.DOTALL)
        return {**files, GRAPH: re.sub(old, new, graph, count=1, flags=re.DOTALL).encode()}

    return changed


HOSTILE: dict[str, Change] = {
    "a loop": in_graph('type="MatMul"', 'type="Loop"'),
    "an operator of somebody else's library": in_graph('version="opset1"', 'version="evil" type="Evil"'),
    "a layer in a layer": in_graph("</layer>", '<layer type="ReLU"/></layer>'),
    "a million parts": in_graph(r'type="MatMul"([^>]*>\s*)<data', r'type="Split"\1<data num_splits="1000000"'),
    "parts of no number": in_graph(r'type="MatMul"([^>]*>\s*)<data', r'type="Split"\1<data'),
    "parts below zero": in_graph(r'type="MatMul"([^>]*>\s*)<data', r'type="Split"\1<data num_splits="-1"'),
    "no parts": in_graph(r'type="MatMul"([^>]*>\s*)<data [^>]*>', r'type="Split"\1'),
    "a constant outside the weights": in_graph(r'offset="\d+"', 'offset="99999999"'),
    "a constant before the weights": in_graph(r'offset="\d+"', 'offset="-8"'),
    "a huge shape": in_graph(r'shape="[\d, -]+"', 'shape="99999999, 99999999"'),
    "a number of no kind": in_graph(r'shape="[\d, -]+"', 'shape="1.2.3"'),
    "entities that grow": in_graph(
        r'<\?xml version="1.0"\?>',
        '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or chr(32)};".replace(" ", "") * 10}">' for n in range(1, 10))
        + "]>",
    ),
    "half of its text": lambda files: {**files, GRAPH: files[GRAPH][: len(files[GRAPH]) // 2]},
    "no text": lambda files: {**files, GRAPH: b""},
    "no graph": lambda files: {name: data for name, data in files.items() if name != GRAPH},
    "no weights": lambda files: {name: data for name, data in files.items() if name != WEIGHTS},
    "a shape of very many numbers": lambda files: {**files, WEIGHTS: b"\xff\xff\xff\x7f" * 4 + files[WEIGHTS][16:]},
    "short weights": lambda files: {**files, WEIGHTS: files[WEIGHTS][:-4]},
    "two edges to an input": in_graph(r"(<edge [^>]*/>)", r"\1\1"),
    "inputs in another order": in_graph(r'<port id="0"([^>]*>.*?)<port id="1"', r'<port id="1"\1<port id="0"'),
    "an edge to nowhere": in_graph(r'to-layer="\d+"', 'to-layer="999"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused(name: str, good: Bundle) -> None:
    changed = Bundle(HOSTILE[name](dict(good.files)), folder=True)
    if name == "entities that grow":
        changed = Bundle({**changed.files, GRAPH: changed.files[GRAPH].replace(b'"MatMul"', b'"&a9;"')}, folder=True)
    with pytest.raises(ArtifactError) as caught:
        FORMATS["openvino"].open(changed)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(data=st.data())
def test_a_damaged_graph_is_an_error_or_passes(data: st.DataObject, good: Bundle) -> None:
    graph = good.files[GRAPH]
    position = data.draw(st.integers(0, len(graph) - 1))
    damaged = graph[:position] + bytes([graph[position] ^ data.draw(st.integers(1, 255))]) + graph[position + 1 :]
    reason = ""
    try:
        check_representation(damaged, good.files[WEIGHTS])
    except ArtifactError as error:
        reason = str(error)
    assert "\n" not in reason


@pytest.mark.slow
def test_only_weights_are_rounded_to_16_bits_and_batch_normalization_with_them(
    cnn_reference: Reference, tmp_path: Path
) -> None:
    settings = ExportSettings([FORMATS["openvino"], FORMATS["onnx"]], [Precision.FP16])
    artifacts = {artifact.format: artifact for artifact in export_artifacts(cnn_reference, settings, tmp_path)}
    in_onnx, largest = (artifacts[name].report.max_abs_diff for name in ("onnx", "openvino"))
    assert largest == pytest.approx(in_onnx, rel=0.02)
    graph = read_artifact(artifacts["openvino"].path).bundle.files[GRAPH].decode()
    stored = re.findall(r'<data element_type="(f16|f32)" shape="([^"]*)"', graph)
    ranks = {
        kind: {sum(side != "1" for side in shape.split(", ")) for of, shape in stored if of == kind}
        for kind, _ in stored
    }
    assert ranks == {"f16": {2, 3, 4}, "f32": {1}}
    assert 'type="Convolution"' in graph
    assert "BatchNorm" not in graph


def test_numbers_that_are_not_finite_are_refused(good: Bundle) -> None:
    with FORMATS["openvino"].open(good) as runner, pytest.raises(ArtifactError, match="finite"):
        runner.predict_in_batches(np.full((1, 1, 28, 28), np.nan, np.float32), 1)


def test_it_writes_nothing_into_the_home_and_says_nothing(exports: Path, tmp_path: Path) -> None:
    (path,) = exports.glob("mnist-mlp.openvino")
    program = f"from mnist_edge.cli import main; main(['selfcheck', {str(path)!r}])"
    off = ("CI", "ORT_DISABLE_TELEMETRY")  # where they say nothing by themselves
    environment = {name: value for name, value in os.environ.items() if name not in off}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "HOME": str(tmp_path)},
    )
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_webassembly_can_trap_after_several_models_were_open(exports: Path) -> None:
    """In a process of its own: that ended it, where each model brought an alternate signal stack and took it away."""
    program = """
import sys
import wasmtime
from pathlib import Path
from mnist_edge.formats.registry import open_artifact, read_artifact

def trap():
    store = wasmtime.Store(wasmtime.Engine())
    module = wasmtime.Module(store.engine, '(module (func (export "stop") unreachable))')
    try:
        wasmtime.Instance(store, module, []).exports(store)["stop"](store)
    except wasmtime.Trap:
        print("trapped")

trap()
models = [open_artifact(read_artifact(Path(sys.argv[1]))) for _ in range(3)]
del models[0]
del models[:]
trap()
"""
    command = [sys.executable, "-c", program, str(exports / "mnist-mlp.openvino")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "trapped\ntrapped\n"), done.stderr


def test_a_shape_among_the_constants_is_read_before_memory_is_asked_for(good: Bundle) -> None:
    hostile = HOSTILE["a shape of very many numbers"](dict(good.files))
    with pytest.raises(ArtifactError, match="is a size of more than 16,777,216 numbers"):
        check_representation(hostile[GRAPH], hostile[WEIGHTS])
