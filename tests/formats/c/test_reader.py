"""Reading headers: what was changed is refused before anything is compiled."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.c.host import open_host
from mnist_edge.formats.c.inspector import inspect, stored_weights
from mnist_edge.formats.c.reader import MAX_BYTES, read
from mnist_edge.formats.c.runner import open_runner
from mnist_edge.formats.c.writer import write
from mnist_edge.parity.weights import weight_problems
from tests.formats.c.networks import NETWORKS, exported, made


def resealed(text: str) -> Bundle:
    """Return a header with a right checksum, as somebody embeds it who changes one on purpose."""
    zeroed = re.sub("mnist-edge-checksum:[0-9a-f]{64}", CHECKSUM_PLACEHOLDER, text)
    return Bundle.of_file(zeroed.encode()).with_checksum()


@pytest.fixture(scope="module")
def text() -> str:
    """A quantized header."""
    model, images = made("colors, groups, strides")
    return exported(model, images, quantized=True).data.decode()


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def changed_number(kind: str) -> Callable[[str], str]:
    """Return what changes the first number of the first array of a kind."""

    def change(text: str) -> str:
        return re.sub(
            rf"(_{kind}\[\d+\] = {{\n    )(-?\d)", lambda match: f"{match[1]}{(int(match[2]) + 1) % 10}", text, count=1
        )

    return change


DAMAGE: dict[str, Callable[[str], str]] = {
    "code": replaced("sum += a * p[i];", "sum += a * p[i] + 0;"),
    "a dropped skip of zeros": replaced("if (*input == 0) {\n            continue;\n        }\n", ""),
    "a fused product and sum": replaced("result = result * x + 1.3", "result = __builtin_fmaf(result, x, 0) + 1.3"),
    "another operator": replaced("steps > largest", "steps >= largest"),
    "a swapped layer": replaced("&tiny_net_int8_1_0, pixels", "&tiny_net_int8_2_3, pixels"),
    "a ReLU": replaced('"relu": true', '"relu": false'),
    "a shift": replaced('"shift": ', '"shift": 1'),
    "a step": replaced('"step": 0.', '"step": 1.'),
    "an expected logit": lambda text: re.sub(
        r"(_expected.*\n    {-?\d\.)(\d)", lambda m: f"{m[1]}{9 - int(m[2])}", text, count=1
    ),
    "a pixel of a test vector": lambda text: re.sub(
        r"(_packed\[\d+\] = {\n    \d*)(\d)", lambda m: f"{m[1]}{9 - int(m[2])}", text, count=1
    ),
    "a name": replaced('"0"', '"1"'),
    "a threshold": replaced("answer.energy >= -3.4028235e+38f", "answer.energy >= 1.0f"),
    "another file": lambda text: text.replace("#include <stdint.h>", '#include <stdint.h>\n#include "other.h"', 1),
    "a constructor": lambda text: text + "__attribute__((constructor)) static void f(void) {}\n",
    "an end of the comment": replaced("mnist_edge.network {", "*/ int other; /*\nmnist_edge.network {"),
    "a line": lambda text: text.replace("\n", "\n\n", 1),
    "half": lambda text: text[: len(text) // 2],
    "other line ends": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_whatever_is_changed_is_refused_before_it_is_compiled(what: str, text: str) -> None:
    changed = DAMAGE[what](text)
    assert changed != text
    with pytest.raises(
        ArtifactError, match=r"header that mnist-edge wrote|not what mnist-edge writes|not understood|its line ends"
    ):
        read(resealed(changed) if CHECKSUM_PLACEHOLDER[:20] in changed else Bundle.of_file(changed.encode()))


@pytest.mark.parametrize("kind", ["weights", "bias", "multipliers"])
def test_a_changed_number_is_read_and_then_found_by_what_it_gives(kind: str, text: str) -> None:
    """It is a header that could have been written: its weights and its test vectors show that it is another's."""
    changed = changed_number(kind)(text)
    header, before = read(resealed(changed)), read(resealed(text))
    model, _ = made("colors, groups, strides")
    _, (channels, height, width) = NETWORKS["colors, groups, strides"]
    assert weight_problems(stored_weights(before.network, (height, width, channels)), model) == ()
    assert weight_problems(stored_weights(header.network, (height, width, channels)), model)


@pytest.mark.slow
@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_written_is_read_back(name: str, quantized: bool) -> None:
    model, images = made(name)
    bundle = exported(model, images, quantized=quantized)
    header = read(bundle)
    assert write(header) == bundle.data.decode().replace(
        bundle.data.decode()[bundle.data.index(b"checksum:") + 9 :][:64], "0" * 64
    )
    runner = open_runner(bundle)
    inspection = inspect(bundle, runner)
    assert weight_problems(inspection.weights, model) == ()
    assert inspection.problems == ()
    assert np.array_equal(runner.predict(runner.test_vectors.inputs), runner.test_vectors.expected_logits)


class Nested(nn.Module):
    """Layers of which the second has a name that ends like the first's with its number."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(12, 4), nn.ModuleDict({"1": nn.ModuleDict({"fc": nn.Linear(4, 3)})})

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head["1"].get_submodule("fc")(torch.relu(self.fc(images.flatten(1))))
        return logits


@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
def test_layers_whose_names_end_alike_are_read_back(quantized: bool) -> None:
    model, images = Nested().eval(), made("linear")[1]
    header = read(exported(model, images, quantized=quantized))
    assert [layer.name for layer in header.network.layers] == ["fc", "head.1.fc"]
    assert weight_problems(stored_weights(header.network, (3, 4, 1)), model) == ()


HOSTILE = ("*/ int x; /*", '"; int x; "', "??/", "\\", "\n#error", "%s", "net_x NET_X", "ä€")


@pytest.mark.parametrize("label", HOSTILE)
def test_no_text_of_a_label_gets_out_of_its_comment_or_its_string(label: str) -> None:
    model, images = made("linear")
    bundle = exported(model, images, quantized=True, label=label)
    header = read(bundle)
    program = open_host(header, ("-O0", "-Wall", "-Wextra", "-Werror"))
    assert program.self_test() == 0
    assert header.contract.task.labels[1] == f"{label}1"
    code = bundle.data.decode().partition("#ifndef")[2].partition("/* For mnist-edge")[0]
    assert "int x;" not in code


@pytest.mark.parametrize("text", HOSTILE)
def test_no_other_text_of_a_contract_gets_out_of_its_comment(text: str) -> None:
    """The name of an architecture is in names, in the title and in the contract; an #include has quotes."""
    model, images = made("linear")
    for quantized in (False, True):
        bundle = exported(model, images, quantized=quantized, architecture=f"net{text}")
        header = read(bundle)
        assert header.contract.architecture == f"net{text}"
        assert open_host(header, ("-O0", "-Wall", "-Wextra", "-Werror")).self_test() == 0
        comment, _, code = bundle.data.decode().partition("#ifndef")
        assert comment.count("*/") == comment.count("/*") == 1
        assert "int x;" not in code.partition("/* For mnist-edge")[0]


@pytest.mark.parametrize("name", ["9lives", "Mixed.Case-Name", "int", "a--b"])
def test_names_of_tasks_become_names_of_c(name: str) -> None:
    model, images = made("linear")
    header = read(exported(model, images, quantized=True, name=name))
    assert re.fullmatch("[a-z][a-z0-9_]*_net_int8", header.prefix)
    assert open_host(header, ("-O0",)).self_test() == 0


ABSURD = {
    "sides": ('"size": [8, 7, 4]', '"size": [1048576, 1048576, 4]'),
    "a window": ('"kernel": [3, 2]', '"kernel": [3, 900000]'),
    "outputs": ('"outputs": [4, 6, 8]', '"outputs": [4000, 6, 8]'),
    "an image of many values": ('"size": [8, 7, 4]', '"size": [8192, 4096, 4]'),
    "a stride": ('"stride": [2, 1]', '"stride": [0, 1]'),
    "groups": ('"groups": 2', '"groups": 3'),
    "a shift": ('"shift": ', '"shift": 9'),
    "no shift": ('"shift": ', '"shift": -'),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_sizes_are_refused_before_any_work(what: str, text: str) -> None:
    old, new = ABSURD[what]
    assert old in text
    with pytest.raises(ArtifactError, match="its network is not understood here"):
        read(resealed(text.replace(old, new)))


def test_a_header_of_many_bytes_is_refused() -> None:
    with pytest.raises(ArtifactError, match="more than 64 MiB"):
        read(Bundle.of_file(bytes(MAX_BYTES + 1)))


def test_sums_that_could_exceed_32_bits_are_refused(text: str) -> None:
    changed = re.sub(r"(_bias\[8\] = {\n    )-?\d+", r"\g<1>2147483647", text, count=1)
    with pytest.raises(ArtifactError, match="sums of 0 could exceed 32 bits"):
        read(resealed(changed))
