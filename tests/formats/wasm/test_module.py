"""The folder with a WebAssembly module: what Node reads with it, and what a damaged or hostile one can do."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from PIL import Image

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import logits_of, to_bytes
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.formats.wasm import runner
from mnist_edge.parity.devices import equal_logits
from mnist_edge.parity.reference import Reference
from mnist_edge.preprocessing.decode import load
from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.datasets.splits import Split
from tests.conftest import ROOT

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

READ = """
import { readFileSync } from "node:fs";
const { load, labels, contract } = await import(process.argv[2]);
const model = await load();
const results = [];
for (const { file, width, height } of JSON.parse(readFileSync("pictures.json"))) {
  try {
    const { logits, image, ...found } = model.predict(readFileSync(file), width, height);
    results.push({ ...found, logits: Array.from(logits ?? []), image: Array.from(image ?? []) });
  } catch (error) {
    results.push({ status: `${error.name}: ${error.message}` });
  }
}
console.log(JSON.stringify({ results, labels, checkpoint: contract.checkpoint, failing: model.selfTest() }));
"""


@pytest.fixture(scope="module")
def folder(exported: list[Artifact]) -> Path:
    """The int8 module of the released MLP."""
    (path,) = (each.path for each in exported if each.path.name == "mnist-mlp-int8.web")
    return path


def read_with_node(folder: Path, pictures: list[np.ndarray], place: Path) -> dict[str, Any]:
    """Return what the ES module says of pictures, as JSON."""
    listed = []
    for number, pixels in enumerate(pictures):
        (place / f"{number}.raw").write_bytes(np.ascontiguousarray(pixels).tobytes())
        listed.append({"file": f"{number}.raw", "width": pixels.shape[1], "height": pixels.shape[0]})
    (place / "pictures.json").write_text(json.dumps(listed))
    (place / "read.mjs").write_text(READ)
    command = ["node", "read.mjs", str(folder / "index.mjs")]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@needs_node
def test_node_reads_pictures_as_python_does(folder: Path, test_data: Split, tmp_path: Path) -> None:
    examples = [apply_exif_orientation(load(path)) for path in sorted((ROOT / "examples").glob("*.*g"))]
    upright = [Image.fromarray(np.asarray(each)) for each in examples if each.mode in ("L", "RGB", "RGBA")]
    generator = np.random.default_rng(0)
    digits = np.rint(255 * test_data.images[:40, 0].numpy()).astype(np.uint8)
    large = [Image.fromarray(255 - digit).resize((30 + 45 * n, 30 + 45 * n)) for n, digit in enumerate(digits)]
    blank = Image.fromarray(np.full((50, 70, 3), 200, np.uint8))
    noise = Image.fromarray(generator.integers(0, 256, (60, 50, 4), dtype=np.uint8))
    colors = np.asarray(large[-1].resize((1_300, 1_300)))[..., np.newaxis] * (0.9, 0.6, 0.8)
    colored = Image.fromarray((colors + generator.uniform(0, 25, colors.shape)).astype(np.uint8))
    opaque = colored.convert("RGBA")  # as all that a canvas gives
    pictures = [*upright, *large, *map(Image.fromarray, digits), blank, noise, colored, opaque]
    found = read_with_node(folder, [np.asarray(picture) for picture in pictures], tmp_path)
    recognizer = Recognizer(folder)
    assert found["failing"] == 0
    assert found["labels"] == list("0123456789")
    for picture, answer in zip(pictures, found["results"], strict=True):
        seen = recognizer.inspect(picture)
        expected = seen.prediction
        assert answer["status"] == expected.status
        if seen.preprocessing is None:
            continue
        assert answer["label"] == expected.label
        assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert answer["otherDigits"] == seen.preprocessing.other_digits
        assert answer["image"] == np.rint(255 * seen.preprocessing.tensor).ravel().astype(int).tolist()
    assert found["results"][-1] == found["results"][-2]
    assert {"ok", "no_digit"} <= {str(answer["status"]) for answer in found["results"]}


@needs_node
def test_what_is_not_a_picture_is_an_error_of_javascript(folder: Path, tmp_path: Path) -> None:
    found = read_with_node(folder, [np.zeros((5, 7, 2), np.uint8), np.zeros((0, 3), np.uint8)], tmp_path)
    first, second = (str(answer["status"]) for answer in found["results"])
    assert first == "RangeError: 70 bytes are not a picture of 7 × 5 pixels"
    assert second == "RangeError: 0 bytes are not a picture of 3 × 0 pixels"


RUN = """
import { readFileSync } from "node:fs";
const { load } = await import(process.argv[2]);
const model = await load();
const { buffer } = new Uint8Array(readFileSync("values"));
const found = [];
for (let start = 0; start < buffer.byteLength; start += 784 * 4) {
  found.push(...model.run(new Float32Array(buffer, start, 784)));
}
let refusal = "";
try { model.run(new Float32Array(783)); } catch (error) { refusal = `${error.name}: ${error.message}`; }
console.log(JSON.stringify([found, refusal]));
"""


@needs_node
def test_node_gives_the_logits_of_floats(folder: Path, reference: Reference, tmp_path: Path) -> None:
    images = reference.sample(40).images
    (tmp_path / "values").write_bytes(images.astype("<f4").tobytes())
    (tmp_path / "run.mjs").write_text(RUN)
    command = ["node", "run.mjs", str(folder / "index.mjs")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found, refusal = json.loads(done.stdout)
    with read_artifact(folder).open() as opened:
        expected = opened.predict(images)
    assert equal_logits(np.array(found, np.float32).reshape(expected.shape), expected) == len(images)
    assert refusal == "RangeError: an image has 784 values, not 783"


CALLS = {
    "model.classify(new Uint8ClampedArray(784)).index >= 0": "true",
    "model.classify(Buffer.alloc(784)).index >= 0": "true",
    "model.run(new Float32Array(784)).length": "10",
    "model.classify(new Float32Array(784).fill(0.9))": "TypeError: expected a Uint8Array or a Uint8ClampedArray",
    "model.classify(Array(784).fill(300))": "TypeError: expected a Uint8Array or a Uint8ClampedArray, not object",
    "model.predict(new Float32Array(784), 28, 28)": "TypeError",
    "model.predict(new Uint16Array(784), 28, 28)": "TypeError",
    "model.predict(new DataView(new ArrayBuffer(784)), 28, 28)": "TypeError",
    "model.predict('x'.repeat(784), 28, 28)": "TypeError",
    "model.predict(undefined, 28, 28)": "TypeError: expected a Uint8Array or a Uint8ClampedArray, not undefined",
    "model.run(new Uint8Array(784))": "TypeError: expected a Float32Array, not Uint8Array",
    "model.run('1'.repeat(784))": "TypeError: expected a Float32Array, not string",
    "model.predict(new Uint8Array(57), 28.5, 2)": "RangeError: 57 bytes are not a picture of 28.5 × 2 pixels",
    "model.predict(new Uint8Array(784), '28', 28)": "RangeError",
}
"""What is called, and how what it gives or throws begins."""

CALL = """
const { load } = await import(process.argv[2]);
const model = await load();
const results = JSON.parse(process.argv[3]).map((code) => {
  try {
    return `${new Function("model", "return " + code)(model)}`;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
});
console.log(JSON.stringify(results));
"""


@needs_node
def test_arrays_whose_numbers_would_be_converted_are_refused(folder: Path, tmp_path: Path) -> None:
    """A Float32Array of 0 to 1 would be a black image, and have an answer."""
    (tmp_path / "call.mjs").write_text(CALL)
    command = ["node", "call.mjs", str(folder / "index.mjs"), json.dumps(list(CALLS))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for call, given, expected in zip(CALLS, json.loads(done.stdout), CALLS.values(), strict=True):
        assert given.startswith(expected), call


@needs_node
@pytest.mark.parametrize("source", ["mnist-mlp-int8.web/model.wasm", "./mnist-mlp-int8.web/model.wasm"])
def test_a_module_is_loaded_from_where_a_relative_name_says(source: str, folder: Path) -> None:
    program = f"import {{ load }} from {str(folder / 'index.mjs')!r}; console.log((await load({source!r})).selfTest())"
    command = ["node", "--input-type=module", "--eval", program]
    assert subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True).stdout == "0\n"


SOURCES = {
    "wasm": "0",
    "inside(wasm)": "0",
    "new DataView(wasm.buffer, wasm.byteOffset, wasm.byteLength)": "0",
    "new Uint8ClampedArray(buffer)": "0",
    "buffer": "0",
    "runInNewContext('new Uint8Array(bytes).buffer', { bytes: wasm })": "0",
    "shared(wasm)": "0",
    "shared(wasm).buffer": "0",
    "new URL('model.wasm', index)": "0",
    "String(new URL('model.wasm', index))": "0",
    "null": "TypeError: expected a URL or the bytes of a module, not Null",
    "0": "TypeError: expected a URL or the bytes of a module, not Number",
    "[0, 97, 115, 109]": "TypeError: expected a URL or the bytes of a module, not Array",
    "Promise.resolve(buffer)": "TypeError: expected a URL or the bytes of a module, not Promise",
    "new Uint8Array()": "Error: these 0 bytes are not the model.wasm that index.mjs was exported with: ",
    "new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])": "Error: these 8 bytes are not the model.wasm",
    "wasm.subarray(1)": "Error: these ",
    "new URL('index.mjs', index)": "Error: these ",
    "other": "Error: these ",
}
"""What a module is loaded from, and how many of its test vectors fail then, or how the error begins."""

LOAD = """
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
const [index, another, sources] = process.argv.slice(2);
const { load } = await import(index);
const [wasm, other] = [index, another].map((beside) => readFileSync(new URL("model.wasm", beside)));
const buffer = new Uint8Array(wasm).buffer;
const inside = (bytes) => {
  const larger = new Uint8Array(bytes.length + 14);
  larger.set(bytes, 7);
  return larger.subarray(7, 7 + bytes.length);
};
const shared = (bytes) => {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length));
  view.set(bytes);
  return view;
};
const names = { load, wasm, other, buffer, inside, shared, runInNewContext, index };
const results = [];
for (const source of JSON.parse(sources)) {
  try {
    const model = await new Function(...Object.keys(names), `return load(${source})`)(...Object.values(names));
    results.push(`${model.selfTest()}`);
  } catch (error) {
    results.push(`${error.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(results));
"""


@needs_node
def test_only_the_module_that_belongs_to_it_is_loaded(folder: Path, tmp_path: Path) -> None:
    """Labels and temperature of one model would be said of the answers of another, whose self-test is well."""
    (tmp_path / "load.mjs").write_text(LOAD)
    folders = [(each / "index.mjs").as_uri() for each in (folder, folder.with_name("mnist-mlp.web"))]
    command = ["node", "load.mjs", *folders, json.dumps(list(SOURCES))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for source, given, expected in zip(SOURCES, json.loads(done.stdout), SOURCES.values(), strict=True):
        assert given.startswith(expected), source
        assert "\n" not in given


def test_its_logits_are_those_of_the_header(exported: list[Artifact], reference: Reference) -> None:
    by_name = {artifact.path.name: artifact.path for artifact in exported}
    for name in ("mnist-mlp", "mnist-mlp-int8"):
        header = read(read_artifact(by_name[f"{name}.h"]).bundle)
        images = reference.sample(100).images
        expected = logits_of(header.network, to_bytes(images, header.network.input_step))
        with read_artifact(by_name[f"{name}.web"]).open() as opened:
            assert equal_logits(opened.predict(images), expected) == len(images)
            with pytest.raises(ArtifactError, match=r"it takes images of shape \[1, 28, 28\], not \[1, 14, 56\]"):
                opened.predict(images.reshape(-1, 1, 14, 56))


def test_the_module_is_small_and_asks_for_nothing(folder: Path) -> None:
    data = (folder / runner.MODULE).read_bytes()
    assert len(data) < 165_000
    module = wasmtime.Module(wasmtime.Engine(), data)
    assert list(module.imports) == []
    names = {export.name for export in module.exports}
    assert names >= {"memory", "run", "classify", "prepare", "self_test", "values", "logits"}


def altered(folder: Path, module: bytes | None) -> Bundle:
    """Return the folder with another module, or without one."""
    bundle = read_artifact(folder).bundle
    files = {name: data for name, data in bundle.files.items() if name != runner.MODULE}
    return dataclasses.replace(bundle, files=files if module is None else {**files, runner.MODULE: module})


EXPORTS = '(func (export "values") (result i32) i32.const 0) (func (export "logits") (result i32) i32.const 4096)'

HOSTILE = {
    "nothing": (None, r"it holds no model\.wasm"),
    "another file": (b"<html>", "wasmtime cannot load it"),
    "no functions": ("(module)", "wasmtime cannot load it"),
    "imports": ('(module (import "a" "b" (func)))', "wasmtime cannot load it"),
    "too much memory": (f'(module (memory (export "memory") 5000) (func (export "run")) {EXPORTS})', "cannot load it"),
    "an endless loop": (
        f'(module (memory (export "memory") 2) (func (export "run") (loop br 0)) {EXPORTS})',
        "the WebAssembly module stopped",
    ),
    "a trap": (
        f'(module (memory (export "memory") 2) (func (export "run") unreachable) {EXPORTS})',
        "the WebAssembly module stopped",
    ),
    "memory that ends": (
        f'(module (memory (export "memory") 0) (func (export "run")) {EXPORTS})',
        "the WebAssembly module stopped",
    ),
    "several memories": (
        f'(module (memory (export "memory") 2) (memory 4000) (memory 4000) (func (export "run")) {EXPORTS})',
        "wasmtime cannot load it",
    ),
    "several tables": (
        f'(module (memory (export "memory") 2) (table 9 funcref) (table 9 funcref) (func (export "run")) {EXPORTS})',
        "wasmtime cannot load it",
    ),
    "a large table": (
        f'(module (memory (export "memory") 2) (table 1000000 funcref) (func (export "run")) {EXPORTS})',
        "wasmtime cannot load it",
    ),
    "a table that grows": (
        '(module (memory (export "memory") 2) (table $t 1 funcref) (func (export "run") '
        "(if (i32.eq (i32.const -1) (table.grow $t (ref.null func) (i32.const 5000))) (then unreachable))) "
        f"{EXPORTS})",
        "the WebAssembly module stopped",
    ),
    "a memory of 64 bits": (
        f'(module (memory (export "memory") i64 2) (func (export "run")) {EXPORTS})',
        "wasmtime cannot load it",
    ),
    "a memory of several threads": (
        f'(module (memory (export "memory") 2) (memory 1 9000 shared) (func (export "run")) {EXPORTS})',
        "wasmtime cannot load it",
    ),
    "objects": (
        '(module (type $a (array (mut i8))) (memory (export "memory") 2) (func (export "run") '
        f"(drop (array.new_default $a (i32.const 1000)))) {EXPORTS})",
        "wasmtime cannot load it",
    ),
    "a function for a memory": (
        f'(module (func (export "memory")) (func (export "run")) {EXPORTS})',
        "its export memory is not a memory",
    ),
    "a memory for a function": (
        f'(module (memory (export "memory") 2) (export "run" (memory 0)) {EXPORTS})',
        "an export of it is not a function",
    ),
    "a function that takes a number": (
        f'(module (memory (export "memory") 2) (func (export "run") (param i32)) {EXPORTS})',
        "takes or gives other numbers than expected",
    ),
    "a place that is infinite": (
        '(module (memory (export "memory") 2) (func (export "run")) (func (export "values") (result f32) f32.const inf)'
        ' (func (export "logits") (result i32) i32.const 0))',
        "takes or gives other numbers than expected",
    ),
    "endless at the start": ("(module (func $a (loop br 0)) (start $a))", "wasmtime cannot load it"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_module_is_one_line(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FUEL", 1_000_000)
    module, message = HOSTILE[case]
    data = bytes(wasmtime.wat2wasm(module)) if isinstance(module, str) else module
    with pytest.raises(ArtifactError, match=message) as caught:
        FORMATS["wasm"].open(altered(folder, data)).predict(np.zeros((1, 1, 28, 28), np.float32))
    assert "\n" not in str(caught.value)
