"""`examples/ray_batch.py` gives the answers of the command, in Parquet, and goes on where it was stopped."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.training.datasets.splits import Split
from tests import warm
from tests.conftest import ROOT

dataset = pytest.importorskip("pyarrow.dataset", reason="needs ray[data]")

COUNT = 400

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, test_data: Split) -> Path:
    """Two folders, one in the other, of digits and one file that is not a picture."""
    folder = tmp_path_factory.mktemp("many") / "pictures"
    (folder / "more").mkdir(parents=True)
    for number, image in enumerate(test_data.images[:COUNT].numpy()):
        name = folder / ("more" if number % 2 else ".") / f"{number:05d}.png"
        Image.fromarray((image[0] * 255).astype(np.uint8)).save(name)
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


STEPS = """
import contextlib, io, runpy, sys
example = sys.argv[1]
for line in sys.stdin:
    sys.argv[1:] = line.split()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(example, run_name="__main__")
        except SystemExit as end:
            print(end)
    print(repr(printed.getvalue()), flush=True)
"""
"""A program that runs the example with the arguments of each line, all of them with the same Ray."""


@pytest.fixture(scope="module")
def example() -> Iterator[Callable[..., list[str]]]:
    """Run the example; it returns what that prints, in lines, and how it ended at the end if not well."""
    command = [sys.executable, "-c", STEPS, str(ROOT / "examples" / "ray_batch.py")]
    # Ray gives its workers a low priority, at which they hardly run beside other tests.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def run(*arguments: Path) -> list[str]:
            print(*arguments, file=stdin, flush=True)
            printed: str = ast.literal_eval(stdout.readline())
            return printed.splitlines()

        yield run
        stdin.close()
        assert process.wait(timeout=60) == 0


def rows(output: Path) -> dict[str, dict[str, object]]:
    table = dataset.dataset(output, format="parquet").to_table()
    assert table.num_rows == COUNT + 1
    return {row["path"]: row for row in table.to_pylist()}


def test_it_gives_the_answers_of_the_command_and_goes_on_where_it_was(
    pictures: Path, tmp_path: Path, example: Callable[..., list[str]]
) -> None:
    output, more, later = tmp_path / "rows", pictures / "more", tmp_path / "more"
    more.rename(later)
    assert example(pictures, output) == ["part 0: 201 pictures"]
    files = {path: path.stat().st_mtime_ns for path in (output / "part-000000").iterdir()}
    later.rename(more)
    (output / "part-000001").mkdir()  # as a run leaves it that was stopped
    (output / "part-000001" / "half.parquet").write_bytes(b"PAR1")
    assert example(pictures, output) == ["part 0: 201 pictures", "part 1: 200 pictures"]
    assert {path: path.stat().st_mtime_ns for path in (output / "part-000000").iterdir()} == files
    found = rows(output)
    command = [*warm.PYTHON, "-m", "mnist_edge", "predict", "--format", "jsonl", str(pictures), str(more)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert len(printed) == COUNT + 1
    for line in printed:
        answer = json.loads(line)
        row = found[answer["path"]]
        assert (row["label"], row["status"]) == (answer["label"], answer["status"])
        assert row["confidence"] == pytest.approx(answer["confidence"], abs=1e-6)
    (pictures / "00000.png").unlink()
    (refusal,) = example(pictures, output)
    assert "is of other pictures" in refusal
