"""`examples/ray_batch.py` gives the answers of the command, in Parquet, and goes on where it was stopped."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_edge.training.datasets.splits import Split
from tests.conftest import ROOT

dataset = pytest.importorskip("pyarrow.dataset", reason="needs ray[data]")

COUNT = 2_000

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


def run(*arguments: Path, expected: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "ray_batch.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == expected, done.stderr
    return done


def rows(output: Path) -> dict[str, dict[str, object]]:
    table = dataset.dataset(output, format="parquet").to_table()
    assert table.num_rows == COUNT + 1
    return {row["path"]: row for row in table.to_pylist()}


def test_it_gives_the_answers_of_the_command_and_goes_on_where_it_was(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows"
    assert run(pictures, output).stdout.splitlines() == ["part 0: 1,001 pictures", "part 1: 1,000 pictures"]
    found = rows(output)
    command = [
        sys.executable,
        "-m",
        "mnist_edge",
        "predict",
        "--format",
        "jsonl",
        str(pictures),
        str(pictures / "more"),
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert len(printed) == COUNT + 1
    for line in printed:
        answer = json.loads(line)
        row = found[answer["path"]]
        assert (row["label"], row["status"]) == (answer["label"], answer["status"])
        assert row["confidence"] == pytest.approx(answer["confidence"], abs=1e-6)
    files = {path: path.stat().st_mtime_ns for path in (output / "part-000000").iterdir()}
    (output / "part-000001" / "_SUCCESS").unlink()  # as a run leaves it that was stopped
    run(pictures, output)
    assert rows(output) == found
    assert {path: path.stat().st_mtime_ns for path in (output / "part-000000").iterdir()} == files
    (pictures / "00000.png").unlink()
    assert "is of other pictures" in run(pictures, output, expected=1).stderr
