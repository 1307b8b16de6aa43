"""The wheel, installed with nothing but the runner's dependencies."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mnist_edge import __version__
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    folder = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = str(folder / "bin" / "pip")
    constraints = str(ROOT / "constraints.txt")
    subprocess.run([pip, "install", "--quiet", "--constraint", constraints, str(wheel)], check=True)
    return folder / "bin"


def test_it_carries_the_model_and_not_the_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"mnist_edge/models/mnist-{name}-int8.onnx" for name in ("mlp", "cnn")} <= set(names)
    assert {"mnist_edge/py.typed", "mnist_edge/exporting/report/report.html.jinja"} <= set(names)
    assert not [name for name in names if "ubyte" in name or name.startswith("tests")]
    assert wheel.stat().st_size < 1_000_000
    assert wheel.name == f"mnist_edge-{__version__}-py3-none-any.whl"


def test_it_brings_only_the_runners_packages(environment: Path) -> None:
    listing = subprocess.run(
        [environment / "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    names = {line.partition("==")[0].lower() for line in listing.stdout.splitlines()}
    assert names - {"pip", "setuptools"} == {
        *("mnist-edge", "onnxruntime", "pillow", "numpy", "click"),
        *("flatbuffers", "packaging", "protobuf"),  # what onnxruntime brings
    }


def test_it_reads_a_digit_and_names_the_extra_for_the_rest(environment: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(environment / "mnist-edge"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    done = run("predict", str(ROOT / "examples" / "seven.png"))
    assert (done.returncode, done.stderr) == (0, "model: built-in mnist-mlp-int8.onnx\n")
    assert done.stdout.splitlines()[1].split()[1] == "7"
    extras = {"train": "train", "export": "export", "evaluate a.onnx": "train", "verify a.onnx": "export"}
    for command, extra in extras.items():
        done = run(*command.split())
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith(f"pip install 'mnist-edge[{extra}]'")
        assert len(done.stderr.splitlines()) == 1
