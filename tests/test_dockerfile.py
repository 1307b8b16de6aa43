"""What can be checked of the image without building it: there is no Docker where the tests run."""

import fnmatch
import json
import re
import tomllib

from click.testing import CliRunner

from mnist_edge.cli import main
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def copied() -> list[str]:
    """Return what is copied from the checkout."""
    lines = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    return [source for *sources, _ in lines for source in sources]


def test_it_copies_what_the_package_is_built_from() -> None:
    assert all((ROOT / path).exists() for path in copied())
    assert {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "mnist_edge"} <= set(copied())
    ignored, *kept = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and line[0] != "#"]
    assert ignored == "*"
    assert {line.removeprefix("!") for line in kept if line.startswith("!")} == set(copied())
    assert not any(fnmatch.fnmatch(path, line) for path in copied() for line in kept if not line.startswith("!"))


def test_it_installs_the_runner_and_no_extra() -> None:
    (install,) = [line for line in instructions("RUN") if "pip install" in line]
    *options, what = install.split("pip install ")[1].split()
    assert what == "."
    assert options == ["--no-cache-dir", "--constraint", "constraints.txt"]
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for dependency in PROJECT["dependencies"]:
        name = re.split("[<>=]", dependency)[0]
        assert re.search(rf"^{name}==", pinned, re.MULTILINE | re.IGNORECASE)


def test_it_runs_a_python_that_the_package_supports_as_nobody() -> None:
    images = {line.split()[0] for line in instructions("FROM")}
    (version,) = (re.fullmatch(r"python:(3\.\d+)-slim", image) for image in images)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]
    assert instructions("USER") == ["65534:65534"]


def test_what_it_runs_reads_the_pictures_of_its_folder() -> None:
    (entrypoint,), (arguments,) = (map(json.loads, instructions(name)) for name in ("ENTRYPOINT", "CMD"))
    assert entrypoint == ["/venv/bin/mnist-edge"]
    (folder,) = instructions("WORKDIR")[-1:]
    assert f":{folder}:ro" in DOCKERFILE
    assert arguments == ["predict", "."]
    result = CliRunner().invoke(main, [arguments[0], str(ROOT / "examples"), "--format", "digits"])
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["5", "4", "9", "7", "3", "2"]
