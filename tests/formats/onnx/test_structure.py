"""A hostile ONNX file is refused before onnxruntime sees it; a damaged one never ends in anything but one line."""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.onnx.structure import MAX_BYTES, check_structure
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from tests.damage.edits import tampered
from tests.formats.onnx.hostile_models import HOSTILE, constant, then

MODEL = BUILTIN_MODELS["mlp"].read_bytes()


def hostile(name: str) -> bytes:
    model = onnx.ModelProto.FromString(MODEL)
    HOSTILE[name](model)
    data: bytes = model.SerializeToString()
    return data


def refusal(data: bytes) -> str:
    """Return why a file is refused, or nothing."""
    try:
        check_structure(data)
    except ArtifactError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_built_in_models_are_as_they_should_be(name: str) -> None:
    check_structure(BUILTIN_MODELS[name].read_bytes())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_short_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("onnxruntime was given the file")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    with pytest.raises(ArtifactError) as caught:
        FORMATS["onnx"].open(Bundle.of_file(hostile(name)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "name",
    [
        "a constant of 4 GB that two small ones give",
        "a choice among constants that gives 4 GB",
        "a constant made floats 900 times",
    ],
)
def test_what_constants_become_is_counted(name: str) -> None:
    assert refusal(hostile(name)) == "it computes many more numbers from its constants than it has"


def encoded(number: int, content: bytes) -> bytes:
    """Return a field of bytes as protobuf writes it."""
    size, length = b"", len(content)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


MINUS_ONE = b"\xff" * 9 + b"\x01"
SHAPES = {
    "its type after its bytes": encoded(9, np.array([-1, 1]).tobytes()) + b"\x08\x02\x10\x07",
    "each number by itself": b"\x08\x02\x10\x07\x38" + MINUS_ONE + b"\x38\x01",
    "in two parts": b"\x08\x02\x10\x07" + encoded(7, MINUS_ONE) + encoded(7, b"\x01"),
    "bytes beside other numbers": b"\x08\x02\x10\x07"
    + encoded(7, b"\x00\x00")
    + encoded(9, np.array([-1, 1]).tobytes()),
}
"""The numbers -1 and 1 as protobuf may write them in a tensor."""


@pytest.mark.parametrize("way", SHAPES)
def test_a_shape_is_what_onnxruntime_makes_of_it(way: str) -> None:
    """A column and a row of 3,000 constants give nine million numbers."""
    model = onnx.ModelProto.FromString(MODEL)
    constant(model, "numbers", np.zeros(3_000))
    constant(model, "row", np.zeros((1, 3_000)))
    reshape = onnx.helper.make_node("Reshape", ["numbers", "shape"], ["column"])
    model.graph.node.extend([reshape, onnx.helper.make_node("Add", ["column", "row"], ["sums"])])
    graph = model.graph.SerializeToString() + encoded(5, SHAPES[way] + encoded(8, b"shape"))
    assert onnx.numpy_helper.to_array(onnx.GraphProto.FromString(graph).initializer[-1]).tolist() == [-1, 1]
    model.ClearField("graph")
    assert refusal(model.SerializeToString() + encoded(7, graph)).startswith("it computes many more numbers")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(7, encoded(11, b"") * 3_000_000), "several inputs"),
        (encoded(7, b"") * 3_000_000, "several graphs"),
        (encoded(14, b"") * 3_000_000, "more than 1,048,576 fields"),
        (encoded(7, encoded(1, encoded(5, encoded(8, b"\x01" * 6_000_000)))), "more than 256 numbers"),
        (encoded(7, encoded(5, encoded(1, b"\x01" * 6_000_000))), "more than 256 sides"),
        (encoded(7, b"".join(encoded(5, encoded(8, b"%d" % number)) for number in range(20_000))), "stored tensors"),
    ],
    ids=["inputs", "graphs", "fields", "numbers", "sides", "tensors"],
)
def test_a_file_of_very_many_parts_is_refused_before_they_are_all_read(data: bytes, reason: str) -> None:
    before = time.process_time()
    assert reason in refusal(data)
    assert time.process_time() - before < 3


def sliced(model: onnx.ModelProto, start: int, stop: int, name: str) -> onnx.NodeProto:
    """Return the node that takes numbers of `all_sides`."""
    bounds = [constant(model, f"{name}_{end}", [value], np.int64) for end, value in (("from", start), ("to", stop))]
    return onnx.helper.make_node("Slice", ["all_sides", *bounds], [name])


def test_sizes_that_follow_from_shapes_are_followed() -> None:
    """As torch's exporter writes attention: a class token for each image, and sides that are taken and swapped."""
    model = onnx.ModelProto.FromString(MODEL)
    constant(model, "one", [1], np.int64)
    constant(model, "token", np.zeros((1, 1, 10)))
    then(
        model,
        onnx.helper.make_node("Shape", ["image"], ["images"], start=0, end=1),
        onnx.helper.make_node("Concat", ["images", "one", "one"], ["sides"], axis=0),
        onnx.helper.make_node("Expand", ["token", "sides"], ["tokens"]),
        onnx.helper.make_node("Unsqueeze", ["true_logits", "one"], ["rows"]),
        onnx.helper.make_node("Concat", ["tokens", "rows"], ["both"], axis=1),
        onnx.helper.make_node("Shape", ["both"], ["all_sides"]),
        *(sliced(model, *part) for part in ((0, 1, "first"), (-2, -1, "middle"), (-1, 1 << 62, "last"))),
        onnx.helper.make_node("Concat", ["first", "last", "middle"], ["swapped"], axis=0),
        onnx.helper.make_node("Reshape", ["both", "swapped"], ["turned"]),
        onnx.helper.make_node("Reshape", ["turned", "all_sides"], ["again"]),
        onnx.helper.make_node("Gather", ["again", constant(model, "second", 1, np.int64)], ["logits"], axis=1),
    )
    data = model.SerializeToString()
    assert refusal(data) == ""
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    plain, turned = (onnxruntime.InferenceSession(each).run(None, {"image": images})[0] for each in (MODEL, data))
    np.testing.assert_array_equal(turned, plain)


@pytest.mark.parametrize("kind", ["shape", "chain"])
def test_weights_that_cannot_be_followed_are_one_line(kind: str) -> None:
    """Whether a chain is too long depends on how deep the caller is: here Python has fewer frames than it has nodes."""
    model = onnx.ModelProto.FromString(MODEL)
    names = ["fc1.bias", *(f"same_{number}" for number in range(900))]
    chain = [onnx.helper.make_node("Identity", [a], [b]) for a, b in itertools.pairwise(names)]
    shape = onnx.helper.make_node("Reshape", ["fc1.bias", constant(model, "as_it_is", [0, -1], np.int64)], ["column"])
    model.graph.node.extend(chain if kind == "chain" else [shape])
    bundle = Bundle.of_file(model.SerializeToString())
    frames = sys.getrecursionlimit()
    with FORMATS["onnx"].open(bundle) as runner:
        sys.setrecursionlimit(600)
        try:
            with pytest.raises(ArtifactError, match="its weights cannot be read"):
                FORMATS["onnx"].inspector().inspect(bundle, runner)
        finally:
            sys.setrecursionlimit(frames)


def test_a_file_too_large_is_refused() -> None:
    with pytest.raises(ArtifactError, match="expected at most"):
        check_structure(bytes(MAX_BYTES + 1))


@given(st.binary(max_size=200))
def test_anything_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        check_structure(data)


@given(st.integers(0, len(MODEL) - 1), st.integers(1, 255), st.integers(1, 8))
def test_a_damaged_file_passes_or_is_refused(position: int, change: int, length: int) -> None:
    damaged = bytearray(MODEL)
    for place in range(position, min(position + length, len(MODEL))):
        damaged[place] ^= change
    assert "\n" not in refusal(bytes(damaged))


@given(st.integers(0, len(MODEL) - 1))
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ArtifactError):
        check_structure(MODEL[:length])


@pytest.mark.parametrize("name", ["a branch on a mark", "a loop without an end", "weights in another file"])
def test_verify_reports_a_hostile_file(name: str, reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "mnist-mlp-int8.onnx"
    path.write_bytes(hostile(name))
    report = verify_path(path, reference)
    assert not report
    check = report.check("loads")
    assert check is not None
    assert not check


@pytest.mark.slow
def test_operators_that_do_nothing_for_digits_are_not_the_program(reference: Reference, tmp_path: Path) -> None:
    """Every operator is on the list, every weight is the checkpoint's, every test image is answered as before."""

    def add_nothing(model: onnx.ModelProto) -> None:
        then(
            model,
            onnx.helper.make_node("Sub", ["image", "image"], ["nothing"]),
            onnx.helper.make_node("GlobalAveragePool", ["nothing"], ["pooled"]),
            onnx.helper.make_node("Flatten", ["pooled"], ["zero"]),
            onnx.helper.make_node("Add", ["true_logits", "zero"], ["logits"]),
        )

    path = tmp_path / "mnist-mlp-int8.onnx"
    path.write_bytes(tampered(MODEL, add_nothing))
    report = verify_path(path, reference)
    assert report.agreement == verify_path(BUILTIN_MODELS["mlp"], reference).agreement
    assert [check.code for check in report.checks if not check] == ["program"]
