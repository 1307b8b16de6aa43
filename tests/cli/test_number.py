"""`mnist-edge predict --number`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageColor

from mnist_edge.cli import main
from mnist_edge.runtime.number_sheet import COLORS
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.datasets.splits import Split
from tests.number_pictures import Line, draw_line


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["predict", "--number", *map(str, arguments)])


@pytest.fixture(scope="module")
def lines(test_data: Split) -> list[Line]:
    """Three pictures whose numbers are read."""
    recognizer, generator = Recognizer(), np.random.default_rng(1)
    drawn = [draw_line(test_data, "normal", generator, photographed=False) for _ in range(9)]
    return [line for line in drawn if recognizer.read(line.picture).text == line.text][:3]


@pytest.fixture
def files(lines: list[Line], tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(len(lines))]
    for path, line in zip(paths, lines, strict=True):
        line.picture.save(path)
    return paths


def test_each_format_has_the_text(files: list[Path], lines: list[Line]) -> None:
    texts = [line.text for line in lines]
    assert run("-f", "digits", *files).stdout.splitlines() == texts
    table = run(*files).stdout.splitlines()
    assert [row.split()[2] for row in table[1:]] == texts
    assert [entry["text"] for entry in json.loads(run("-f", "json", *files).stdout)] == texts
    assert [json.loads(row)["text"] for row in run("-f", "jsonl", *files).stdout.splitlines()] == texts
    rows = list(csv.DictReader(run("-f", "csv", *files).stdout.splitlines()))
    assert "".join(row["label"] for row in rows) == "".join(texts)
    assert {row["text"] for row in rows} == set(texts)
    assert all(int(row["left"]) < int(row["right"]) for row in rows)


def test_the_cnn_reads_numbers_unless_another_model_is_named(files: list[Path]) -> None:
    assert run(files[0]).stderr == "model: built-in mnist-cnn-int8.onnx\n"
    assert run(files[0], "--model", "mlp").stderr == "model: built-in mnist-mlp-int8.onnx\n"


def test_boxes_are_drawn(files: list[Path], lines: list[Line], tmp_path: Path) -> None:
    sheet = tmp_path / "boxes.png"
    result = run(files[0], "--visualize", sheet)
    assert result.exit_code in (0, 3)
    drawn = np.asarray(Image.open(sheet).convert("RGB"))
    assert drawn.shape[1] == lines[0].picture.width
    colored = np.any([(drawn == ImageColor.getrgb(color)).all(axis=2) for color in COLORS.values()], axis=0)
    outlines = [2 * sum(np.subtract(digit.box[2:], digit.box[:2])) for digit in Recognizer().read(files[0]).digits]
    assert colored.sum() >= sum(outlines)


def test_a_picture_without_a_number_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    Image.new("L", (60, 40), 255).save(tmp_path / "blank.png")
    result = run("-f", "digits", tmp_path / "blank.png")
    assert (result.exit_code, result.stdout) == (1, "-\n")
    assert "no_digit" in result.stderr


@pytest.mark.parametrize("options", [["--top-k", "2"], ["--show-input"]])
def test_options_of_single_digits_are_a_usage_error(options: list[str]) -> None:
    result = run("a.png", *options)
    assert result.exit_code == 2
    assert "without --number" in result.stderr


@pytest.mark.slow
def test_several_processes_give_the_same(files: list[Path]) -> None:
    assert run("-f", "jsonl", *files, "--jobs", "2").stdout == run("-f", "jsonl", *files).stdout
