import csv
import json

import pytest

from mnist_edge.cli.formatters import FORMATTERS, Layout, longest
from mnist_edge.runtime.prediction import Prediction, Status

LABELS = ("ankle boot", "bag")
LAYOUT = Layout(top=2, name_width=5, labels=LABELS)
ANSWERS = [
    Prediction("a.png", Status.OK, "bag", None, 0.75, (0.25, 0.75), LABELS, "model.onnx"),
    Prediction(None, Status.UNREADABLE, None, None, None, (), LABELS, "model.onnx", "damaged"),
]


def test_a_table_of_words_has_a_column_as_wide_as_the_longest() -> None:
    header, first, second = FORMATTERS["table"](ANSWERS, LAYOUT)
    assert header == "picture       label  confidence"
    assert first == "a.png           bag       75.0%  ███████████████       then ankle boot (25.0%)"
    assert second == "-                 –              unreadable"


@pytest.mark.parametrize("labels", [("0", "1"), ("0", "12")])
def test_a_table_of_digits_says_so(labels: tuple[str, ...]) -> None:
    assert next(FORMATTERS["table"]([], Layout(0, 0, labels))) == "picture  digit  confidence"


def test_words_are_labels_without_a_digit() -> None:
    first, second = map(json.loads, FORMATTERS["jsonl"](ANSWERS, LAYOUT))
    assert (first["label"], first["digit"]) == ("bag", None)
    assert first["top"] == [
        {"label": "bag", "digit": None, "confidence": 0.75},
        {"label": "ankle boot", "digit": None, "confidence": 0.25},
    ]
    assert (second["path"], second["label"], second["top"]) == ("-", None, [])
    assert json.loads("".join(FORMATTERS["json"](ANSWERS, LAYOUT))) == [first, second]
    assert list(FORMATTERS["digits"](ANSWERS, LAYOUT)) == ["bag", "-"]


def test_rows_of_csv_have_as_many_cells_as_the_header() -> None:
    header, *rows = csv.reader(FORMATTERS["csv"](ANSWERS, LAYOUT))
    assert header[-3:] == ["label_2", "digit_2", "confidence_2"]
    assert [len(row) for row in rows] == [len(header)] * 2
    assert rows[0][-3:] == ["ankle boot", "", "0.25"]


def test_the_longest_name_is_measured_as_it_is_shown() -> None:
    assert longest(["a.png", "new\nline", b"bytes of a picture"]) == len("new\\nline")
    assert longest([]) == 0


def test_what_comes_from_files_is_printable_everywhere() -> None:
    labels = ("\x1b]0;title\x07", "new\nline")
    answer = Prediction("a\x9b.png", Status.OK, labels[0], None, 0.75, (0.75, 0.25), labels, "model\u202e.onnx")
    for name, formatter in FORMATTERS.items():
        text = "\n".join(formatter([answer], Layout(2, 5, labels)))
        assert all(
            character.isprintable() or (character == "\n" and name == "json") for character in text.replace("\n", "", 1)
        )


def test_json_has_no_numbers_that_are_none() -> None:
    answer = Prediction("a.png", Status.OK, "bag", None, float("nan"), (0.5, float("nan")), LABELS, "model.onnx")
    for name in ("json", "jsonl"):
        with pytest.raises(ValueError, match="not JSON compliant"):
            list(FORMATTERS[name]([answer], LAYOUT))
