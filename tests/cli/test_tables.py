from pathlib import Path

import numpy as np
import pytest

from mnist_edge.cli.layout import TextTable
from mnist_edge.cli.tables import MAX_LABEL, MAX_MATRIX, class_table
from mnist_edge.training.metrics import evaluate_logits


def table_of(classes: int) -> TextTable:
    """Return the table of a model that takes one image of the first label for the last, and knows all others."""
    labels = np.arange(3 * classes) % classes
    logits = np.eye(classes, dtype=np.float32)[labels]
    logits[0] = np.eye(classes, dtype=np.float32)[classes - 1]
    names = [f"{number}. label with a long name" for number in range(classes)]
    return class_table(Path("model.onnx"), evaluate_logits(logits, labels), names)


@pytest.mark.parametrize("classes", [2, 10, MAX_MATRIX])
def test_a_few_labels_are_a_matrix(classes: int) -> None:
    table = table_of(classes)
    assert len(table.rows) == classes
    assert table.rows[0][classes] == "1"
    assert {len(row) for row in table.rows} == {classes + 3}
    assert max(len(row[0]) for row in table.rows) <= MAX_LABEL


def test_many_labels_are_the_worst_of_them_with_what_they_are_taken_for() -> None:
    table = table_of(1_000)
    assert table.line_above == "model.onnx: the 20 of 1,000 labels with the lowest recall"
    assert len(table.rows) == MAX_MATRIX
    worst, second = table.rows[:2]
    assert worst[1:4] == ["3", "66.67%", "100.00%"]
    assert worst[4].startswith("999. ")
    assert worst[4].endswith(" (1)")
    assert second[2:] == ["100.00%", "100.00%", ""]
