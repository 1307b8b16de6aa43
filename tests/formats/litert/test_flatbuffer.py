"""A `.tflite` file is read, checked and written again before LiteRT is given it."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs mnist-edge[litert]")

from mnist_edge.formats.litert.flatbuffer import read_model, without_metadata, write_model  # noqa: E402
from mnist_edge.formats.litert.structure import OPERATORS  # noqa: E402


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> bytes:
    (artifact,) = [a for a in exported if a.format == "litert" and a.contract.precision == "fp32"]
    return artifact.path.read_bytes()


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(data)
    change(model)
    return write_model(model)


def _set(name: str, value: object, of: Callable[[Any], Any]) -> Callable[[Any], object]:
    return lambda model: setattr(of(model), name, value)


def _in_many_dimensions(model: Any) -> None:  # noqa: ANN401
    """Reshape to 1,000 dimensions."""
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]]
    tensor.shape, model.buffers[tensor.buffer].data = [1_000], np.ones(4_000, np.uint8)


HOSTILE: dict[str, Callable[[Any], object]] = {
    "a loop": _set("builtinCode", schema.BuiltinOperator.WHILE, lambda m: m.operatorCodes[1]),
    "an operator of somebody else's": _set("customCode", "Evil", lambda m: m.operatorCodes[1]),
    "two graphs": lambda m: m.subgraphs.append(m.subgraphs[0]),
    "no graph": _set("subgraphs", [], lambda m: m),
    "a tensor of many numbers": _set("shape", [1 << 14, 1 << 14], lambda m: m.subgraphs[0].tensors[3]),
    "a tensor of negative size": _set("shape", [-5], lambda m: m.subgraphs[0].tensors[3]),
    "a tensor in no buffer": _set("buffer", 999, lambda m: m.subgraphs[0].tensors[3]),
    "a state": _set("isVariable", True, lambda m: m.subgraphs[0].tensors[3]),
    "an operator on no tensor": _set("inputs", [999, 1], lambda m: m.subgraphs[0].operators[1]),
    "an operator without its input": _set("inputs", [-1, 6, 3], lambda m: m.subgraphs[0].operators[1]),
    "an operator without its weights": _set("inputs", [8, -1, 3], lambda m: m.subgraphs[0].operators[1]),
    "a shape that is absent": _set("inputs", [0, -1], lambda m: m.subgraphs[0].operators[0]),
    "an operator with too few inputs": _set("inputs", [6], lambda m: m.subgraphs[0].operators[1]),
    "an operator with too many inputs": _set("inputs", [6, 4, 2, 2], lambda m: m.subgraphs[0].operators[1]),
    "an operator with two outputs": _set("outputs", [7, 6], lambda m: m.subgraphs[0].operators[1]),
    "an operator without its output": _set("outputs", [-1], lambda m: m.subgraphs[0].operators[1]),
    "an operator that writes over weights": _set("outputs", [4], lambda m: m.subgraphs[0].operators[0]),
    "an operator that writes over the input": _set("outputs", [0], lambda m: m.subgraphs[0].operators[0]),
    "an operator that reads its own output": _set("inputs", [9, 6, 3], lambda m: m.subgraphs[0].operators[1]),
    "a tensor that is written twice": _set("outputs", [8], lambda m: m.subgraphs[0].operators[1]),
    "an output that is not computed": _set("operators", [], lambda m: m.subgraphs[0]),
    "a shape of many dimensions": _in_many_dimensions,
    "a tensor of many dimensions": _set("shape", [1] * 9, lambda m: m.subgraphs[0].tensors[3]),
    "an operator of no code": _set("opcodeIndex", 99, lambda m: m.subgraphs[0].operators[1]),
    "weights behind the end": _set("offset", 1 << 20, lambda m: m.buffers[4]),
    "no input": _set("inputs", [], lambda m: m.subgraphs[0]),
    "weights of another size": _set("shape", [11], lambda m: m.subgraphs[0].tensors[1]),
    "another input": _set("shape", [1, 1, 14, 56], lambda m: m.subgraphs[0].tensors[0]),
    "metadata that is no text": _set("data", [255, 254], lambda m: m.buffers[-1]),
    "metadata in no buffer": _set("buffer", 999, lambda m: m.metadata[-1]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, good: bytes) -> None:
    bundle = Bundle.of_file(changed(good, HOSTILE[name]))
    with pytest.raises(ArtifactError) as caught, FORMATS["litert"].open(bundle) as runner:
        raise ArtifactError(runner.mismatches[0])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def _calling(operator: int, inputs: list[int]) -> Callable[[Any], object]:
    """Return the change that makes the second operator of a file another one."""

    def change(model: Any) -> None:  # noqa: ANN401
        code = model.operatorCodes[1]
        code.builtinCode, code.deprecatedBuiltinCode = operator, min(operator, 127)
        model.subgraphs[0].operators[1].inputs = inputs

    return change


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_an_operator_has_all_its_inputs(operator: int, good: bytes) -> None:
    """LiteRT would look for one that is not there, and end the process: so files are read alone, and not run."""
    fewest, most = OPERATORS[operator]
    for count in (fewest - 1, most + 1):
        with pytest.raises(ArtifactError, match=f"has {count} inputs and 1 outputs, expected {fewest} to {most}"):
            read_model(changed(good, _calling(operator, [1] * count)))
    for position in range(fewest):
        inputs = [1] * fewest  # a bias, which is there from the start
        inputs[position] = -1
        with pytest.raises(ArtifactError, match="has a tensor that is not there"):
            read_model(changed(good, _calling(operator, inputs)))


@pytest.mark.parametrize(
    ("operator", "inputs", "changes", "message"),
    [
        ("SOFTMAX", [8], {9: schema.TensorType.BOOL}, "does not take or give tensors of these types"),
        ("SUB", [4, 4], {4: schema.TensorType.INT8}, "does not take or give tensors of these types"),
        ("SUB", [4, 4], {4: schema.TensorType.UINT8}, "a tensor of it is of type 3"),
        ("EXPAND_DIMS", [4, 5], {4: schema.TensorType.INT4}, "a tensor of it is of type 17"),
    ],
)
def test_types_that_end_the_process_are_refused(
    operator: str, inputs: list[int], changes: dict[int, int], message: str, good: bytes
) -> None:
    def change(model: Any) -> None:  # noqa: ANN401
        _calling(getattr(schema.BuiltinOperator, operator), inputs)(model)
        for index, kind in changes.items():
            model.subgraphs[0].tensors[index].type = kind

    with pytest.raises(ArtifactError, match=message):
        read_model(changed(good, change))


def _multiplying(inputs: list[int], shape: list[int], *others: int) -> Callable[[Any], object]:
    """Return the change to a product of matrices where tensor 4, which is stored, is of bytes, and others are."""

    def change(model: Any) -> None:  # noqa: ANN401
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.BATCH_MATMUL
        model.operatorCodes.append(code)
        operator, tensors = model.subgraphs[0].operators[1], model.subgraphs[0].tensors
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, inputs
        tensors[4].shape = shape
        for index in (4, *others):
            tensors[index].type = schema.TensorType.INT8

    return change


@pytest.mark.parametrize(("number", "name"), [(schema.BuiltinOperator.GATHER_ND, "GATHER_ND"), (9_999, "9999")])
def test_an_operator_that_is_not_on_the_list_is_named(number: int, name: str, good: bytes) -> None:
    change = _set("builtinCode", number, lambda m: m.operatorCodes[1])
    with pytest.raises(ArtifactError, match=f"calls operator {name}, which is not on the list"):
        read_model(changed(good, change))


@pytest.mark.parametrize("shape", [[128, 10], [1, 128, 10], [1, 1, 128, 10]])
def test_a_product_of_matrices_takes_weights_of_eight_bits(shape: list[int], good: bytes) -> None:
    read_model(changed(good, _multiplying([6, 4], shape)))


@pytest.mark.parametrize(
    "change",
    [
        _multiplying([6, 4], []),
        _multiplying([6, 4], [1_280]),
        _multiplying([6, 4], [1, 1, 1, 128, 10]),
        _multiplying([4, 6], [10, 128]),
        _multiplying([6, 4], [128, 10], 6),
        _multiplying([6, 4], [128, 10], 9),
        _multiplying([6, 6], [128, 10], 6),
    ],
    ids=["no sides", "one side", "five sides", "at the left", "at both", "as the output", "that are computed"],
)
def test_a_product_of_matrices_takes_no_other_bytes(change: Callable[[Any], object], good: bytes) -> None:
    with pytest.raises(ArtifactError, match="operator BATCH_MATMUL does not take or give tensors of these types"):
        read_model(changed(good, change))


def _padding(
    numbers: list[int], shape: list[int], *more: int, kind: str = "INT32", stored: bool = True
) -> Callable[[Any], object]:
    """Return the change that pads the image, instead of making a row of it."""

    def change(model: Any) -> None:  # noqa: ANN401
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, "PADV2" if more else "PAD")
        model.operatorCodes.append(code)
        operator, tensors = model.subgraphs[0].operators[0], model.subgraphs[0].tensors
        paddings, output = tensors[operator.inputs[1]], tensors[operator.outputs[0]]
        paddings.shape, paddings.type, output.shape = [4, 2], getattr(schema.TensorType, kind), shape
        data = np.frombuffer(np.array(numbers, kind.lower()).tobytes(), np.uint8)
        model.buffers[paddings.buffer].data = data if stored else None
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs = [*operator.inputs, *more]

    return change


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
@pytest.mark.parametrize("more", [(), (1,)])
def test_an_image_may_be_padded(kind: str, more: tuple[int, ...], good: bytes) -> None:
    read_model(changed(good, _padding([0, 0, 0, 0, 2, 1, 0, 2], [1, 1, 31, 30], *more, kind=kind)))


HUGE = [0, 0, 0, 0, 0, 30_000, 0, 30_000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_padding(HUGE, [1, 10]), r"gives the shape \[1, 1, 30028, 30028\], the file says \[1, 10\]"),
        (_padding(HUGE, [1, 10], 1), r"gives the shape \[1, 1, 30028, 30028\], the file says \[1, 10\]"),
        (_padding(HUGE, [1, 10], kind="INT64"), r"gives the shape \[1, 1, 30028, 30028\], the file says \[1, 10\]"),
        (_padding([0, 0, 0, 0, -2, 4, 0, 0], [1, 1, 30, 28]), "does not pad each side by numbers of at least 0"),
        (_padding([0, 0, 0, 0], [1, 1, 28, 28]), "does not pad each side by numbers of at least 0"),
        (_padding([], [1, 1, 28, 28], stored=False), "is told sizes that are computed"),
        (_padding([0] * 8, [1, 1, 28, 28], kind="FLOAT32"), "pads by numbers that are not whole"),
    ],
)
def test_paddings_that_ask_for_more_than_the_file_says_are_refused(
    change: Callable[[Any], object], message: str, good: bytes
) -> None:
    with pytest.raises(ArtifactError, match=message):
        read_model(changed(good, change))


def _giving(operator: str, *shapes: list[int], gives: tuple[int, ...] = (1, 10)) -> Callable[[Any], object]:
    """Return the change that puts an operator before all, on the largest weights, in shapes; it is said to give few."""

    def change(model: Any) -> None:  # noqa: ANN401
        graph, code = model.subgraphs[0], schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operator)
        model.operatorCodes.append(code)
        (weights,) = (index for index, tensor in enumerate(graph.tensors) if list(tensor.shape) == [128, 784])
        inputs = []
        for shape in shapes:
            tensor = copy.deepcopy(graph.tensors[weights])
            tensor.shape = shape
            inputs.append(len(graph.tensors))
            graph.tensors.append(tensor)
        output, added = copy.deepcopy(graph.tensors[graph.outputs[0]]), schema.OperatorT()
        output.shape, output.name, output.buffer = list(gives), "added", 0
        graph.tensors.append(output)
        added.opcodeIndex, added.inputs, added.outputs = len(model.operatorCodes) - 1, inputs, [len(graph.tensors) - 1]
        if operator == "ADD":
            added.builtinOptions, added.builtinOptionsType = schema.AddOptionsT(), schema.BuiltinOptions.AddOptions
        if operator == "BATCH_MATMUL":
            added.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
            added.builtinOptions = schema.BatchMatMulOptionsT()
        graph.operators.insert(0, added)

    return change


@pytest.mark.parametrize("operator", ["ADD", "BATCH_MATMUL", "MAXIMUM"])
def test_an_operator_that_gives_more_than_the_file_says_is_refused(operator: str, good: bytes) -> None:
    """LiteRT makes the output as large as the inputs ask for: here 411 MB, and more than 2 GB it can't."""
    data = changed(good, _giving(operator, [100_352, 1], [1, 1_024]))
    with pytest.raises(ArtifactError, match=r"gives the shape \[100352, 1024\], the file says \[1, 10\]"):
        FORMATS["litert"].open(Bundle.of_file(data))
    with pytest.raises(ArtifactError, match="cannot load it"):
        FORMATS["litert"].open(Bundle.of_file(changed(good, _giving(operator, [100_352, 1], [1, 100_352]))))


def test_tensors_that_are_many_together_are_refused(good: bytes) -> None:
    """Each is as large as a file may say."""

    def change(model: Any) -> None:  # noqa: ANN401
        for _ in range(9):
            _giving("ADD", [16_384, 1], [1, 1_024], gives=(16_384, 1_024))(model)

    with pytest.raises(ArtifactError, match="more memory than those of a small classifier"):
        FORMATS["litert"].open(Bundle.of_file(changed(good, change)))


def test_a_linear_layer_needs_no_bias(good: bytes) -> None:
    for inputs in ([6, 4, -1], [6, 4]):
        model = read_model(changed(good, _set("inputs", inputs, lambda m: m.subgraphs[0].operators[1])))
        assert model.subgraphs[0].operators[1].inputs.tolist() == inputs


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\xff" * 4 + b"TFL3" + b"\xff" * 100])
def test_what_is_not_a_file_of_that_kind_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        read_model(data)


@given(data=st.data())
def test_a_damaged_file_is_an_error_or_can_be_written_again(data: st.DataObject, good: bytes) -> None:
    """Most of a file is weights; what leads from table to table is at its ends."""
    position = data.draw(st.integers(0, 2_000)) - data.draw(st.sampled_from([0, 2_000]))
    damaged = bytearray(good)
    damaged[position] ^= data.draw(st.integers(1, 255))
    reason = ""
    try:
        written = write_model(read_model(bytes(damaged)))
    except ArtifactError as error:
        reason = str(error)
    else:
        assert write_model(read_model(written)) == written
    assert "\n" not in reason


def test_weights_begin_at_multiples_of_sixteen_bytes(good: bytes) -> None:
    """As the schema asks (`force_align: 16`): kernels load sixteen bytes at once."""
    model = schema.Model.GetRootAs(good)
    found = 0
    for index in range(model.BuffersLength()):
        data = model.Buffers(index).DataAsNumpy()
        if isinstance(data, np.ndarray) and data.size > 1_000:
            start = good.index(data.tobytes())
            found += 1
            assert start % 16 == 0
    assert found >= 3


def test_the_program_is_the_file_without_what_it_carries(good: bytes) -> None:
    alone = without_metadata(read_model(good))
    assert b"mnist_edge." not in alone
    assert without_metadata(read_model(alone)) == alone
