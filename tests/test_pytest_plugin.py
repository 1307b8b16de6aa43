"""The plugin of pytest, in the example project that uses it."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PLUGIN = "mnist_edge.pytest_plugin"

RUN = """
import runpy, sys
import pytest
sys.path.insert(0, ".")
runpy.run_path("train.py", run_name="__main__")
sys.exit(pytest.main(["-q", "-p", "mnist_edge.pytest_plugin", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def python(code: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with this environment."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_costs_other_projects_nothing() -> None:
    """What pytest imports at its start, wherever mnist-edge is installed."""
    done = python(f"import pytest, sys; before = set(sys.modules); import {PLUGIN}; print(*set(sys.modules) - before)")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"mnist_edge", PLUGIN}


def test_the_entry_point_has_the_name_of_its_module() -> None:
    """So that `-p` finds it by one name, and pytest does not register it twice."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


@pytest.mark.slow
def test_the_example_project_trains_exports_and_keeps_its_file_honest(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / "own-model", tmp_path / "own-model")
    done = python(RUN, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = re.search(
        r"^digits-net\.onnx: (\d+\.\d+)% of 397 test images, 100\.00% the same$", done.stdout, re.MULTILINE
    )
    assert figures, done.stdout
    assert float(figures[1]) > 94
    assert "2 passed" in done.stdout
    ignored = {line.strip("/") for line in (folder / ".gitignore").read_text().split()}
    assert {path.name for path in folder.iterdir()} - {
        path.name for path in (ROOT / "examples" / "own-model").iterdir()
    } <= (ignored | {"__pycache__"})
