"""The C of a header on this machine: the logits of the reference, to the last bit, however it is compiled."""

import dataclasses
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.c.compiler import host_library, zig
from mnist_edge.formats.c.devices import firmware
from mnist_edge.formats.c.elf import read_elf
from mnist_edge.formats.c.emulator import Emulator
from mnist_edge.formats.c.exporter import export
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.host import HostProgram, open_host
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import judge, logits_of, to_bytes
from mnist_edge.formats.c.targets import TARGETS
from mnist_edge.formats.c.writer import write
from mnist_edge.parity.devices import equal_logits
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.preprocessing.registry import c_header
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from mnist_edge.training.ood import energy_scores, margin_scores
from tests.conftest import RELEASES
from tests.formats.c.networks import BYTES, FLOATS, NETWORKS, C, header_of, made, request_for
from tests.parity.unjudged import unjudged

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


@pytest.mark.slow
@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer_gives_the_bits_of_the_reference(name: str, quantized: bool) -> None:
    header, model, images = header_of(name, quantized=quantized)
    pixels = to_bytes(images, header.network.input_step)
    expected = logits_of(header.network, pixels)
    program = open_host(header)
    assert equal_logits(program.logits(pixels), expected) == len(images)
    assert equal_logits(program.logits_of_floats(images), expected) == len(images)
    assert program.self_test() == 0
    with torch.inference_mode():
        trained = model(torch.from_numpy(images)).numpy()
    assert np.abs(expected - trained).max() < (0.05 * np.ptp(trained) if quantized else 1e-6)


@pytest.fixture(scope="module")
def released_headers(reference: Reference) -> dict[str, Header]:
    """The headers of the released MLP, by scheme."""
    return {scheme.name: read(unjudged(C, reference, scheme.name).bundle) for scheme in C.schemes}


@pytest.fixture(scope="module", params=[FLOATS, BYTES], ids=["floats", "bytes"])
def header(request: pytest.FixtureRequest, released_headers: dict[str, Header]) -> Header:
    """One of them."""
    return released_headers[request.param.name]


@pytest.fixture(scope="module")
def quantized(released_headers: dict[str, Header]) -> Header:
    """The one with bytes."""
    return released_headers[BYTES.name]


@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("macro", ["__FAST_MATH__", "__ASSOCIATIVE_MATH__", "__RECIPROCAL_MATH__"])
def test_a_compiler_that_may_reorder_floats_is_refused(macro: str, quantized: bool) -> None:
    """These macros of gcc say that it may, as -funsafe-math-optimizations and its parts let it."""
    header, _, _ = header_of("linear", quantized=quantized)
    with pytest.raises(ArtifactError, match=r"#error .*unsafe-math-optimizations"):
        open_host(header, ("-O0", f"-D{macro}=1"))


@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("compiler", ["cc", pytest.param("clang", marks=pytest.mark.slow)])
def test_a_compiler_that_takes_all_floats_for_finite_is_refused(
    compiler: str, quantized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves out the question whether the logits are, and the answer to an image of NaN is certain."""
    monkeypatch.setenv("CC", " ".join(zig()) if compiler == "clang" else compiler)
    header, _, _ = header_of("linear", quantized=quantized)
    with pytest.raises(ArtifactError, match=r"error.* -ffinite-math-only"):
        open_host(header, ("-O0", "-ffinite-math-only"))


@pytest.mark.slow
# GNU C fuses a product and a sum unless it is told not to; every level of optimization orders them as it likes.
@pytest.mark.parametrize("flags", [("-O0",), ("-O2",), ("-O3", "-std=gnu99", "-march=native")], ids=" ".join)
def test_released_networks_give_the_bits_of_the_reference(
    flags: tuple[str, ...], header: Header, reference: Reference
) -> None:
    pixels = to_bytes(reference.sample(60).images, header.network.input_step)
    unlike = [np.full((1, 28, 28, 1), 255), np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1))]
    pixels = np.concatenate([pixels, *unlike]).astype(np.uint8)  # these give more than a byte between layers
    expected = logits_of(header.network, pixels)
    program = open_host(header, flags)
    assert equal_logits(program.logits(pixels), expected) == len(pixels)
    assert np.array_equal(program.judge(expected), judge(expected, header.contract))
    assert program.self_test() == 0


def test_bytes_agree_with_the_trained_model_on_nearly_all_images(quantized: Header, reference: Reference) -> None:
    found = open_host(quantized).logits_of_floats(reference.images)
    answers = found.argmax(axis=1)
    assert (answers == reference.logits.argmax(axis=1)).mean() >= 0.9995
    assert reference.accuracy - (answers == reference.labels).mean() <= 0.0002


@pytest.mark.slow
def test_bytes_of_the_released_cnn_agree_too(test_data: Split, training_data: TrainingData) -> None:
    part = Split(test_data.images[::5], test_data.labels[::5])
    reference = make_reference(load_checkpoint(RELEASES["cnn"]), part, training_data)
    header = read(unjudged(C, reference, BYTES.name).bundle)
    answers = open_host(header).logits_of_floats(reference.images).argmax(axis=1)
    assert (answers == reference.logits.argmax(axis=1)).mean() >= 0.9995
    assert reference.accuracy - (answers == reference.labels).mean() <= 0.0002


def test_the_answer_is_that_of_the_runner(header: Header, reference: Reference) -> None:
    contract, logits = header.contract, reference.logits
    answers = open_host(header).judge(logits)
    assert np.array_equal(answers["label"], logits.argmax(axis=1))
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64) / contract.temperature)
    assert np.abs(answers["confidence"] - 1 / weights.sum(axis=1)).max() < 1e-6
    energy, margin = energy_scores(logits, contract.temperature), margin_scores(logits, contract.temperature)
    assert np.abs(answers["energy"] - energy).max() < 1e-5
    assert np.abs(answers["margin"] - margin).max() < 1e-5
    certain = (energy >= contract.energy_threshold) & (margin >= contract.margin_threshold)
    assert (answers["certain"] == certain).mean() > 0.9999
    assert 0.9 < certain.mean() < 1


def test_without_a_threshold_of_the_energy_the_margin_decides(quantized: Header) -> None:
    contract = dataclasses.replace(quantized.contract, energy_threshold=0.0, margin_threshold=1.0)
    logits = np.full((2, 10), -50, np.float32)  # as log-probabilities, whose energy is 0 or below
    logits[:, 3] = (-48.5, -49.5)
    answers = open_host(dataclasses.replace(quantized, contract=contract)).judge(logits)
    assert (answers["energy"] < 0).all()
    assert answers["certain"].tolist() == [1, 0]
    assert np.array_equal(answers, judge(logits, contract))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_never_certain(value: float, header: Header) -> None:
    logits = np.zeros((3, 10), np.float32)
    logits[:, 4] = 100
    logits[np.arange(3), [0, 4, 9]] = value
    answers = open_host(header).judge(logits)
    assert not answers["certain"].any()
    assert not answers["confidence"].any()


def test_pixels_of_any_value_are_rounded_into_bytes(header: Header) -> None:
    if not header.network.quantized:
        return
    values = np.array([np.nan, np.inf, -np.inf, -0.1, 0.5 / 255, 0.49 / 255, 254.6 / 255, 1.5, 1e30], np.float32)
    images = np.resize(values, (2, 1, 28, 28))
    pixels = to_bytes(images, header.network.input_step)
    assert pixels.ravel()[:9].tolist() == [0, 255, 0, 0, 1, 0, 255, 255, 255]
    program = open_host(header)
    assert equal_logits(program.logits_of_floats(images), program.logits(pixels)) == 2


COMPILERS = {
    "gcc": (("gcc", "-std=c99"), "c"),
    "g++": (("g++", "-std=c++11"), "cpp"),
    "clang": ((*zig(), "-target", "x86_64-freestanding", "-ffreestanding", "-std=c99"), "c"),
    "clang++": ((*zig()[:-1], "c++", "-target", "x86_64-freestanding", "-ffreestanding", "-std=c++11"), "cpp"),
}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_headers_compile_without_a_warning_in_one_program(compiler: str, quantized: Header, tmp_path: Path) -> None:
    """Three in one source file, each with its own names, as C and as C++; what gcc makes of them is run too."""
    command, suffix = COMPILERS[compiler]
    pooled, _, _ = header_of("pools of signed values", quantized=True)
    floats, _, _ = header_of("normalization by itself", quantized=False)
    headers = [quantized, pooled, floats]
    lines = []
    for number, header in enumerate(headers):
        (tmp_path / f"{number}.h").write_text(write(header))
        macro = header.prefix.upper()
        lines += [f"#define {macro}_IMPLEMENTATION", f"#define {macro}_SELF_TEST", f'#include "{number}.h"']
    lines += ["int main(void);", "int main(void) {", "    int32_t failed = 0;"]
    for header in headers:
        name = header.prefix
        lines += [f"    static {name}_workspace {name};", f"    failed += {name}_self_test(&{name});"]
    lines += ["    return (int)failed;", "}"]
    source = tmp_path / f"main.{suffix}"
    source.write_text("\n".join(lines) + "\n")
    for level in ("-O0", "-O2"):
        compiled = [*command, level, *WARNINGS, "-c", "-o", tmp_path / "main.o", source]
        subprocess.run(compiled, check=True)
    if compiler.startswith("g"):
        subprocess.run([command[0], "-o", tmp_path / "main", tmp_path / "main.o"], check=True)
        assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


@pytest.mark.slow
def test_no_input_is_undefined_behavior(
    released_headers: dict[str, Header], reference: Reference, tmp_path: Path
) -> None:
    """Test images and random bytes, with gcc's sanitizers for addresses and undefined behavior."""
    random = np.random.default_rng(0).integers(0, 256, (300, 784), np.uint8)
    images = np.concatenate([to_bytes(reference.images, 1 / 255).reshape(-1, 784), random, random & -(random & 1)])
    images.tofile(tmp_path / "images")
    for number, header in enumerate(released_headers.values()):
        (tmp_path / "net.h").write_text(write(header))
        name, macro = header.prefix, header.prefix.upper()
        (tmp_path / "main.c").write_text(
            f'#define {macro}_IMPLEMENTATION\n#define {macro}_SELF_TEST\n#include "net.h"\n#include <stdio.h>\n'
            f"int main(void) {{ static {name}_workspace workspace; static uint8_t image[784]; int32_t count = 0;\n"
            f"while (fread(image, 784, 1, stdin) == 1) {{ count += {name}_classify(&workspace, image).label < 10; }}\n"
            f'printf("%d %d", (int)count, (int){name}_self_test(&workspace)); return 0; }}\n'
        )
        flags = ["-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        binary = tmp_path / f"main{number}"
        subprocess.run(["gcc", *flags, "-o", binary, tmp_path / "main.c"], check=True)
        with (tmp_path / "images").open("rb") as stdin:
            done = subprocess.run([binary], stdin=stdin, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == (f"{len(images)} 0", "")


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "g++"])
def test_a_header_may_be_included_again_behind_its_implementation(
    compiler: str, quantized: Header, tmp_path: Path
) -> None:
    """First for its declarations alone, then with the implementation and the self-test, then by another header."""
    command, suffix = COMPILERS[compiler]
    (tmp_path / "net.h").write_text(write(quantized))
    (tmp_path / "mnist_v3.h").write_text(c_header("mnist/3"))
    (tmp_path / "resize_v1.h").write_text(c_header("resize/1"))
    names = ("net.h", "mnist_v3.h", "resize_v1.h")
    (tmp_path / "app.h").write_text("".join(f'#include "{name}"\n' for name in names))
    macro, name = quantized.prefix.upper(), quantized.prefix
    defined = [f"{macro}_IMPLEMENTATION", f"{macro}_SELF_TEST", "MNIST_V3_IMPLEMENTATION", "RESIZE_V1_IMPLEMENTATION"]
    source = tmp_path / f"main.{suffix}"
    source.write_text(
        '#include "app.h"\n'
        + "".join(f"#define {each}\n" for each in defined)
        + '#include "app.h"\n#include "app.h"\n'
        + f"int main(void) {{ static {name}_workspace workspace; return (int){name}_self_test(&workspace); }}\n"
    )
    subprocess.run([*command, *WARNINGS, "-o", tmp_path / "main", source], check=True)
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def header_from(task: str, architecture: str, checkpoint: str, *, quantized: bool) -> str:
    """Return the text of a header of a small network."""
    model, images = made("linear")
    asked = request_for(model, images, quantized=quantized, name=task, architecture=architecture)
    asked = dataclasses.replace(asked, contract=dataclasses.replace(asked.contract, checkpoint=checkpoint))
    (bundle,) = export(model, [asked])
    return bundle.data.decode()


@pytest.mark.parametrize(
    ("second", "refused"),
    [
        (("a-b", "mlp", "0" * 64, True), False),
        (("a-c", "mlp", "1" * 64, True), False),
        (("a.b", "mlp", "1" * 64, True), True),
        (("a-b", "mlp_int8", "0" * 64, False), True),
    ],
    ids=["the same", "another name", "another model", "another precision"],
)
def test_a_header_of_another_model_whose_names_begin_alike_is_an_error(
    second: tuple[str, str, str, bool], refused: bool, tmp_path: Path
) -> None:
    task, architecture, checkpoint, quantized = second
    (tmp_path / "first.h").write_text(header_from("a-b", "mlp", "0" * 64, quantized=True))
    (tmp_path / "second.h").write_text(header_from(task, architecture, checkpoint, quantized=quantized))
    (tmp_path / "main.c").write_text('#include "first.h"\n#include "second.h"\n#include "first.h"\n')
    command = ["gcc", "-std=c99", *WARNINGS, "-fsyntax-only", str(tmp_path / "main.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("A_B_MLP_INT8_H is of another model's header" in done.stderr) == refused
    assert (done.returncode != 0) == refused


@pytest.mark.parametrize(
    ("architecture", "title", "prefix"),
    [
        ("net.py:Depthwise", "mnist-depthwise-int8", "mnist_depthwise_int8"),
        ("package.module:ResNet18", "mnist-resnet18-int8", "mnist_resnet18_int8"),
        ("mlp", "mnist-mlp-int8", "mnist_mlp_int8"),
    ],
)
def test_a_header_has_the_name_of_its_file(architecture: str, title: str, prefix: str, quantized: Header) -> None:
    contract = dataclasses.replace(quantized.contract, architecture=architecture)
    header = dataclasses.replace(quantized, contract=contract)
    assert (header.title, header.prefix) == (title, prefix)
    assert f'#include "{title}.h"' in write(header)


def test_its_names_are_not_those_of_the_preprocessing(released_headers: dict[str, Header]) -> None:
    floats = released_headers[FLOATS.name]
    contract = dataclasses.replace(floats.contract, architecture="net.py:V3")
    header = dataclasses.replace(floats, contract=contract)
    assert (header.title, header.prefix) == ("mnist-v3", "net_mnist_v3")


MUTATIONS = {
    "a fused product and sum": ("sum += b * q[i];", "sum = __builtin_fmaf(b, q[i], sum);", False),
    "products in another order": (
        "sum += a * p[i];\n        sum += b * q[i];",
        "sum += b * q[i];\n        sum += a * p[i];",
        False,
    ),
    "a forgotten rest": ("k < products->count", "k < products->count - 1", True),
    "a weight of another row": ("sum += d * s[i];", "sum += d * r[i];", True),
    "a rounding toward zero": ("steps + ((uint32_t)1 << (layer->shift - 1))", "steps", True),
    "a ReLU that is left out": ("if (sum < 0 && layer->relu)", "if (sum < -1000000)", True),
    "a column beside": ("column * w->stride_right - w->left", "column * w->stride_right", True),
}
"""Mistakes in the C, and whether they are in the one with bytes."""


@pytest.mark.parametrize("mistake", MUTATIONS)
def test_the_self_test_finds_a_mistake_in_the_code(mistake: str) -> None:
    old, new, quantized = MUTATIONS[mistake]
    header, _, _ = header_of("colors, groups, strides", quantized=quantized)
    text = write(header).replace(old, new)
    assert text != write(header)
    assert mutated(text, header).self_test() > 0


@pytest.mark.parametrize("kind", ["weights", "bias", "scales"])
def test_the_self_test_finds_a_changed_number(kind: str, quantized: Header) -> None:
    text = write(quantized)
    start = text.index(f"3_fc3_{kind}[")
    end = text.index("};", start)
    first = re.compile(r"(= \{\n    )(-?\d)(\d*)")
    changed = text[:start] + first.sub(lambda m: f"{m[1]}{m[2]}{m[3]}1", text[start:end], count=1) + text[end:]
    if kind == "scales":
        changed = text[:start] + text[start:end].replace("1", "2", 3) + text[end:]
    assert changed != text
    assert mutated(changed, quantized).self_test() > 0


def mutated(text: str, header: Header) -> HostProgram:
    """Return altered C, compiled."""
    library = host_library(text, header.prefix, ("-O1", "-w"))
    return HostProgram(library, header.contract.task.input.shape, header.labels)


def test_zeros_are_skipped(quantized: Header, reference: Reference) -> None:
    """Leaving the skip out changes no logit: it is the budget of instructions that finds that."""
    text = write(quantized).replace("if (*input == 0) {\n            continue;\n        }", "")
    images = reference.images[:3]
    assert mutated(text, quantized).self_test() == 0
    program = firmware(text, quantized.prefix, TARGETS["cortex-m4"])
    device = Emulator(TARGETS["cortex-m4"], read_elf(program))
    taken = device.counting()
    for image in to_bytes(images, 1 / 255):
        device.run(image, 10)
        assert taken() > 250_000
