import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.contract import Contract, ContractError

contracts = st.builds(
    Contract,
    checkpoint=st.text(),
    architecture=st.text(),
    precision=st.sampled_from(["fp32", "int8"]),
    opset=st.none() | st.integers(1, 30),
    producer=st.dictionaries(st.text(), st.text()),
    labels=st.lists(st.text(), min_size=1).map(tuple),
    temperature=st.floats(0.1, 10),
    input_range=st.tuples(st.floats(-1, 0), st.floats(1, 255)),
)


@given(contracts)
def test_a_contract_survives_the_journey(contract: Contract) -> None:
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.differences(contract) == []


@given(contracts, contracts)
def test_contracts_differ_exactly_where_they_are_not_equal(one: Contract, other: Contract) -> None:
    assert bool(one.differences(other)) == (one != other)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"version": 2}', '{"version": 2, "colour": "blue"}'])
def test_a_damaged_contract_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="damaged"):
        Contract.from_json(text)


def test_an_absent_or_newer_contract_is_refused() -> None:
    with pytest.raises(ContractError, match="no mnist-edge contract"):
        Contract.from_json(None)
    with pytest.raises(ContractError, match="version 3, expected 2"):
        Contract.from_json(json.dumps({"version": 3}))
