"""Every command block of the README and of the pages in docs/ is run, in a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {
    f"{page.name}, block {number}": block
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(
        re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
}
MAKE = re.findall(r"^    (make \w+)", README, re.MULTILINE)
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "mnist-edge"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def run(command: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the README in the clone, with this environment instead of a new one."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "VENV": str(BIN.parent)}
    return subprocess.run(
        ["bash", "-euc", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def assert_clean(clone: Path) -> None:
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_the_readme_has_the_commands() -> None:
    assert MAKE == ["make demo", "make test"]
    assert sum(name.startswith("README.md") for name in BLOCKS) == 3


@pytest.mark.slow
def test_make_demo_ends_with_right_answers(clone: Path) -> None:
    done = run(f"{MAKE[0]} --old-file={BIN.parent}/.ready VENV={BIN.parent}", clone)
    assert done.returncode == 0, done.stderr
    answers = dict(re.findall(r"^examples/(\w+)\.\w+ +(\d) ", done.stdout, re.MULTILINE))
    assert answers == {"five": "5", "four": "4", "nine": "9", "seven": "7", "two": "2", "three": "3"}
    assert done.stdout.count("passed") == 8
    assert_clean(clone)


@pytest.mark.slow
def test_make_test_runs_every_check(clone: Path) -> None:
    """All of it but running the tests, which is where we are."""
    arguments = f"--old-file={BIN.parent}/.ready VENV={BIN.parent} PYTEST_ARGS='--collect-only -q'"
    done = run(f"{MAKE[1]} {arguments}", clone)
    assert done.returncode == 0, done.stdout + done.stderr
    for told in (
        "All checks passed",
        "no issues found",
        "0 broken",
        "tests collected",
        "test_make_test_runs_every_check",
    ):
        assert told in done.stdout
    assert_clean(clone)


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_commands(block: str, clone: Path) -> None:
    """The blocks build on each other. `pip install` is run by `test_wheel.py`, and by whoever made this environment."""
    lines = [line for line in BLOCKS[block].splitlines() if not line.startswith("pip install")]
    done = run("\n".join(lines), clone)
    assert done.returncode == 0, done.stderr
    if "predict examples/seven.png" in BLOCKS[block]:
        assert re.search(r"^examples/seven\.png +7 ", done.stdout, re.MULTILINE)
    assert_clean(clone)


def test_pip_install_names_what_the_project_offers() -> None:
    installs = re.findall(r"^pip install (.+)$", README, re.MULTILINE)
    assert installs == ["mnist-edge", "'mnist-edge[train]'"]
