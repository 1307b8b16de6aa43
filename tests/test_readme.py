"""Every block of commands and of Python in the README and in the pages of docs/ is run, in a fresh clone."""

import importlib
import json
import os
import re
import resource
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.training.datasets.splits import Split
from tests import warm
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
MAKE = re.findall(r"^    (make \w+)", README, re.MULTILINE)
BIN = Path(sys.executable).parent
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTEST_ARGS")
"""Variables that hold what a make around the tests was given."""

MAKES_ENVIRONMENT = ("python3 -m venv ", "pip install ", "touch ")
"""How commands begin that a make inside of make would run again: it does not hear that the environment is ready."""

SHIMS = {"mnist-edge": f'exec {shlex.join(warm.PYTHON)} -m mnist_edge "$@"'}
"""Scripts that run a command in a process that has everything imported."""


def blocks_of(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def code_in_order() -> dict[str, str]:
    """Return the blocks of commands by page and number, and after those of a page all its Python as one program."""
    code: dict[str, str] = {}
    for name, page in PAGES.items():
        code |= {f"{name}, block {number}": block for number, block in enumerate(blocks_of(page, "bash"))}
        if programs := blocks_of(page, "python"):
            code[f"{name}, Python"] = "\n".join(programs)
    return code


CODE = code_in_order()


def shown_after(block: str) -> list[str]:
    """Return the lines that a page shows as the output of its Python, without their numbers and what is shortened."""
    if block != "api.md, Python":
        return []
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES["api.md"], re.MULTILINE | re.DOTALL)
    texts = [text for language, text in fences if not language and "…" not in text]
    return [without_numbers(line) for text in texts for line in text.splitlines()]


def without_numbers(line: str) -> str:
    """Return a line with a sign in the place of each number, and of what a processor makes of NaN."""
    line = re.sub(r"^(NaN and infinity: ).*?(: \w+)$", r"\1#\2", line)
    return re.sub(r"\b\d[\d.,]*(e[+-]?\d+)?", "#", line)


@dataclass
class Clone:
    """A fresh clone, and the commands that have been run in it."""

    folder: Path
    shims: Path
    done: set[str] = field(default_factory=set)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, with this environment instead of a new one."""
        path = os.pathsep.join(map(str, (self.shims, BIN, os.environ["PATH"])))
        environment = {**os.environ, "PATH": path, "VENV": str(BIN.parent)}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def make(self, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a target of the Makefile, with this environment instead of a new one."""
        alone = ["env", *(f"--unset={name}" for name in OF_MAKE)]
        options = ["--no-print-directory", f"--old-file={BIN.parent}/.ready", f"VENV={BIN.parent}"]
        return self.run(*alone, *target.split(), *options, *arguments)

    def assert_clean(self) -> None:
        """Fail where a file that git does not ignore was written."""
        assert self.run("git", "status", "--porcelain").stdout == ""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone") / "mnist-edge"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    shims = tmp_path_factory.mktemp("shims")
    for name, line in SHIMS.items():
        (shims / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (shims / name).chmod(0o755)
    return Clone(folder, shims)


def cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def commands_of(block: str) -> list[str]:
    """Return the commands of a block but `pip install`, which `test_wheel.py` and whoever made this environment ran."""
    commands = re.split(r"(?<!\\)\n", block.strip())
    return [command for command in commands if not command.startswith("pip install")]


def test_the_readme_has_the_commands() -> None:
    assert MAKE == ["make demo", "make test"]
    assert sum(name.startswith("README.md, block") for name in CODE) == 3
    assert "README.md, Python" in CODE
    assert "api.md, Python" in CODE


def test_the_readme_shows_the_formats_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    table, blocks = importlib.import_module("format_table"), importlib.import_module("readme_blocks")
    assert blocks.with_block(README, "formats", table.table()) == README, "run `make format-table`"


def test_the_tables_of_costs_are_those_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    costs, blocks = importlib.import_module("cost_table"), importlib.import_module("readme_blocks")
    measured = {(row["format"], row["precision"]) for row in costs.rows()}
    assert measured == {(spec.name, str(precision)) for spec in FORMATS.values() for precision in spec.precisions}
    for path, contents in costs.blocks().items():
        page = path.read_text(encoding="utf-8")
        for name, content in contents:
            assert blocks.with_block(page, name, content) == page, f"{path.name}: run `make costs`"
            assert "| 0.00 " not in content, "every time has digits that say something"


@pytest.mark.slow
def test_make_demo_ends_with_right_answers_in_a_minute(clone: Clone, test_data: Split) -> None:
    before = cpu_seconds_of_children()
    done = clone.make(MAKE[0])
    assert done.returncode == 0, done.stderr
    # On two cores of its own, whatever else the machine does.
    assert (cpu_seconds_of_children() - before) / 2 <= 60
    assert evaluate(open_model(clone.folder / "checkpoints" / "mnist-mlp.safetensors"), test_data).accuracy >= 0.975
    answers = dict(re.findall(r"^examples/(\w+)\.\w+ +(\d) ", done.stdout, re.MULTILINE))
    assert answers == {"five": "5", "four": "4", "nine": "9", "seven": "7", "two": "2", "three": "3"}
    written = json.loads((clone.folder / "exports" / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    assert [(entry["format"], entry["precision"]) for entry in written] == [
        *(("onnx", "fp32"), ("onnx", "int8"), ("torchscript", "fp32"), ("torchscript", "int8")),
    ]
    assert done.stdout.count("passed") == 2 * len(written)
    clone.assert_clean()
    clone.done.update(line.removeprefix(f"{BIN}/") for line in done.stdout.splitlines() if line.startswith(str(BIN)))


def test_make_test_runs_every_check(clone: Clone) -> None:
    """It is what runs this, so its commands are read; make ends with the first that fails unless told otherwise."""
    done = clone.make(MAKE[1], "--dry-run")
    assert done.returncode == 0, done.stderr
    side_by_side, *commands = [line.replace(f"{BIN}/", "") for line in done.stdout.splitlines()]
    assert side_by_side.endswith(" --jobs=2 lint every-test")
    checks = [command for command in commands if not command.startswith(MAKES_ENVIRONMENT)]
    *lint, tests = sorted(checks, key=lambda command: "pytest" in command)
    assert lint == ["ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo"]
    assert re.fullmatch(r'OMP_NUM_THREADS=1 pytest -n 4 [-a-z ]+ -m "slow or not slow" ', tests)


@pytest.mark.slow
@pytest.mark.parametrize("block", CODE)
def test_a_block_is_run(block: str, clone: Clone) -> None:
    """A command that was run in the clone before, by `make demo` or another page, is not run again."""
    if block.endswith("Python"):
        done = clone.run(*warm.PYTHON, "-c", CODE[block])
    else:
        commands = [command for command in commands_of(CODE[block]) if command not in clone.done]
        done = clone.run("bash", "-euc", "\n".join(commands))
        clone.done.update(commands)
    assert done.returncode == 0, done.stderr
    missing = set(shown_after(block)) - {without_numbers(line) for line in done.stdout.splitlines()}
    assert not missing, "the page shows what is not printed"
    if "predict examples/seven.png" in CODE[block]:
        assert re.search(r"^examples/seven\.png +7 ", done.stdout, re.MULTILINE)
    clone.assert_clean()


def test_pip_install_names_what_the_project_offers() -> None:
    installs = re.findall(r"^pip install (.+)$", README, re.MULTILINE)
    assert installs == [".", "'.[export,report]'"], "it is on no index yet: what is installed is the checkout"
