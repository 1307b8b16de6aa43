import dataclasses
import json
from typing import Any

import pytest

from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.record import DataRecord

RECORD = DataRecord("photos", 7, {"train": (3, 4), "validation": (1, 1), "test": (2, 0)})


def test_a_record_comes_back_as_it_was() -> None:
    assert DataRecord.from_fields(json.loads(json.dumps(dataclasses.asdict(RECORD)))) == RECORD
    assert RECORD.sizes == {"train": 7, "validation": 2, "test": 2}


def test_the_released_checkpoint_was_trained_on_mnist(released: Checkpoint) -> None:
    assert (released.data.dataset, released.data.split_seed) == ("mnist", None)
    assert released.data.sizes == {"train": 55_000, "validation": 5_000, "test": 10_000}


@pytest.mark.parametrize(
    "changes",
    [
        {"split_seed": -1},
        {"split_seed": "0"},
        {"counts": {"train": [1]}},
        {"counts": {"train": [1], "validation": [1], "test": [-1]}},
        {"dataset": 3},
        {"more": 1},
    ],
)
def test_fields_of_another_kind_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"split_seed|counts|dataset|more|missing"):
        DataRecord.from_fields(dataclasses.asdict(RECORD) | changes)
