import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.contract import Contract, Task
from mnist_edge.errors import ContractError
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.types import TensorSpec

texts = st.text(max_size=50)
tensors = st.builds(
    TensorSpec,
    name=texts,
    shape=st.tuples(*[st.integers(1, 256)] * 3),
    layout=texts,
    dtype=texts,
    range=st.tuples(st.floats(-1, 0), st.floats(1, 255)),
    polarity=texts,
)
tasks = st.builds(
    Task,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    labels=st.lists(texts, min_size=2, max_size=12, unique=True).map(tuple),
    input=tensors,
    preprocessing=texts,
)
contracts = st.builds(
    Contract,
    task=tasks,
    architecture=texts,
    checkpoint=st.text("0123456789abcdef", min_size=64, max_size=64),
    precision=texts,
    scheme=texts,
    producer=st.dictionaries(texts, texts),
    options=st.dictionaries(texts, st.integers(0, 2**31)),
    batch=st.none() | st.integers(1, 2**16),
    output=texts,
    temperature=st.floats(1e-6, 1e6),
    energy_threshold=st.floats(0, 1e6),
    margin_threshold=st.floats(0, 1e6),
    license=texts,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)

CONTRACT = Contract(
    task=Task("digits", ("0", "1"), TensorSpec("image", (1, 4, 4)), "mnist/3"),
    architecture="mlp",
    checkpoint="0" * 64,
    precision="fp32",
    scheme="none",
    producer={"torch": "2.14.1"},
    options={"opset": 18},
)


@given(contracts)
def test_a_contract_can_be_read_back(contract: Contract) -> None:
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.differences(contract) == []


@given(contracts, contracts)
def test_contracts_differ_exactly_where_they_are_not_equal(one: Contract, other: Contract) -> None:
    assert bool(one.differences(other)) == (one != other)


@given(tasks)
def test_a_task_can_be_read_back(task: Task) -> None:
    assert Task.from_fields(json.loads(json.dumps(task.to_fields()))) == task


def test_a_difference_has_its_place_and_both_values() -> None:
    labels = dataclasses.replace(CONTRACT.task, labels=("1", "0"))
    other = dataclasses.replace(CONTRACT, task=labels, options={"opset": 17}, batch=1)
    assert CONTRACT.differences(other) == [
        "task.labels is ('1', '0'), expected ('0', '1')",
        "options.opset is 17, expected 18",
        "batch is 1, expected None",
    ]


def test_an_option_that_only_one_of_two_contracts_has_is_a_difference() -> None:
    more = dataclasses.replace(CONTRACT, options={"opset": 18, "more": 1})
    assert CONTRACT.differences(more) == ["options.more is 1, expected None"]
    assert more.differences(CONTRACT) == ["options.more is None, expected 1"]


def test_the_shapes_have_a_symbolic_batch_unless_it_is_fixed() -> None:
    assert (CONTRACT.input_shape, CONTRACT.output_shape) == (("batch", 1, 4, 4), ("batch", 2))
    fixed = dataclasses.replace(CONTRACT, batch=8)
    assert (fixed.input_shape, fixed.output_shape) == ((8, 1, 4, 4), (8, 2))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "null", "NaN", '"text"', "{}", '{"version": 3}', '{"version": 3, "color": "blue"}'),
        "[" * 100_000,
        '{"version":' + "[" * 100_000,
        '{"version": 3, "task": ' + '{"a":' * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_contract_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="not understood here"):
        Contract.from_json(text)


def test_an_absent_or_newer_contract_is_refused() -> None:
    with pytest.raises(ContractError, match="no mnist-edge contract"):
        Contract.from_json(None)
    with pytest.raises(ContractError, match="version 4, expected 3"):
        Contract.from_json(json.dumps({"version": 4}))


def at(path: str, value: object, fields: dict[str, Any]) -> None:
    """Set a nested field; a dot leads into an object."""
    *parents, name = path.split(".")
    for parent in parents:
        fields = fields[parent]
    fields[name] = value


BAD: dict[str, list[object]] = {
    "task": [None, [], "mnist", {}, {"name": "mnist"}],
    "task.name": [None, 7, "", "a/b", "../a", "a\0", ".hidden", "a b", "x" * 2_000],
    "task.labels": [None, "01", [], ["0"], ["0", "0"], ["0", 1], ["0", None], ["x"] * 20_000, ["0", "x" * 2_000]],
    "task.input": [None, [], {}, "image"],
    "task.input.name": [None, 1],
    "task.input.shape": [
        *(None, [], [4, 4], [1, 1, 4, 4], [1, 4, -4], [1, 0, 4], [1, 4, 4.0], [1, 4, True], [1, 4, "4"]),
        *([1, 2**20, 2**20], [1, 2**70, 1], 16),
    ],
    "task.input.layout": [None, 7],
    "task.input.dtype": [None, 7],
    "task.input.range": [
        None,
        [],
        [0],
        [0, 1, 2],
        [1, 0],
        [1, 1],
        [0, "1"],
        [0, True],
        [0, float("inf")],
        [0, 10**400],
    ],
    "task.input.polarity": [None, 7],
    "task.preprocessing": [None, 2, ["mnist/3"]],
    "architecture": [None, 7, [], "x" * 2_000],
    "checkpoint": [None, 7, "", "0" * 63, "0" * 65, "G" * 64, "A" * 64],
    "precision": [None, 8],
    "scheme": [None, 8],
    "producer": [None, [], "torch", {"torch": 2}, {"torch": None}],
    "options": [None, [], 18, {"opset": "18"}, {"opset": -1}, {"opset": 18.0}, {"opset": True}, {"opset": 2**40}],
    "batch": [0, -1, 1.0, "1", True, 2**20, [1]],
    "output": [None, 7],
    "temperature": [None, "1", 0, -1.0, float("nan"), float("inf"), True, 1e7, 10**400],
    "energy_threshold": [None, "0", -0.5, float("nan"), float("inf"), False, 1e7],
    "margin_threshold": [None, "0", -0.5, float("nan"), float("inf"), False, 1e7],
    "license": [None, 7],
}
"""Values that a field can't have, by its path."""


@pytest.mark.parametrize("path", BAD)
def test_a_field_of_another_type_or_out_of_range_is_refused(path: str) -> None:
    for value in BAD[path]:
        fields = json.loads(CONTRACT.to_json())
        at(path, value, fields)
        with pytest.raises(ContractError, match=r"its contract is not understood here \(.+\)") as caught:
            Contract.from_json(json.dumps(fields))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_every_field_is_in_the_table() -> None:
    found = {*json.loads(CONTRACT.to_json())} - {"version"}
    found |= {f"task.{name}" for name in CONTRACT.task.to_fields()}
    found |= {f"task.input.{entry.name}" for entry in dataclasses.fields(TensorSpec)}
    assert found == set(BAD)


@pytest.mark.parametrize("where", ["", "task", "task.input"])
def test_a_missing_or_unknown_field_is_refused_by_its_name(where: str) -> None:
    fields = json.loads(CONTRACT.to_json())
    nested = fields
    for name in filter(None, where.split(".")):
        nested = nested[name]
    for name in list(nested):
        value = nested.pop(name)
        with pytest.raises(ContractError, match=f"not understood here .*{name}'? is missing"):
            Contract.from_json(json.dumps(fields))
        nested[name] = value
    nested["color"] = "blue"
    with pytest.raises(ContractError, match="'color' is an unknown field"):
        Contract.from_json(json.dumps(fields))


@given(st.sampled_from(list(BAD)), json_values)
def test_no_value_raises_anything_else(path: str, value: object) -> None:
    fields = json.loads(CONTRACT.to_json())
    at(path, value, fields)
    text = json.dumps(fields)
    with contextlib.suppress(ContractError):
        contract = Contract.from_json(text)
        assert Contract.from_json(contract.to_json()) == contract


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ContractError):
        Contract.from_json(text)


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_built_in_models_carry_a_contract_of_this_version(name: str) -> None:
    contract = Recognizer(name).runner.contract
    assert contract.task.name == "mnist"
    assert contract.architecture == name
    assert Contract.from_json(contract.to_json()) == contract
