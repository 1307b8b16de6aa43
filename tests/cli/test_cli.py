import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mnist_edge import __version__
from mnist_edge.cli import COMMANDS, main
from mnist_edge.cli.edge import EXTRAS
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import FormatSpec
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from tests.conftest import DATA, RELEASED, ROOT

TWO = str(ROOT / "examples" / "two.png")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_one_line_error(result: Result, message: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_help_lists_every_command_with_its_first_line() -> None:
    listing = run("--help").stdout
    for name, line in COMMANDS.items():
        assert name in listing
        assert line in listing
        assert run(name, "--help").exit_code == 0


def test_help_and_version_import_only_click() -> None:
    program = (
        "import sys, mnist_edge.cli\n"
        "mnist_edge.cli.main([sys.argv[1]], standalone_mode=False)\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in found if not name.startswith('_')))"
    )
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", program, option], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "['click', 'mnist_edge']"


def test_version_names_the_built_in_models_and_their_digests() -> None:
    expected = [f"mnist-edge {__version__}"]
    for name, default in (("mlp", " (default)"), ("cnn", " (default with --number)")):
        path = BUILTIN_MODELS[name]
        expected.append(f"model {name}{default}: {path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
    assert run("--version").stdout.splitlines() == expected
    assert run("predict", "--version").stdout.splitlines() == expected


def test_a_usage_error_is_exit_code_2() -> None:
    for arguments in (
        ["predict"],
        ["train", "--epochs", "0"],
        ["export", "--format", "tflite"],
        ["export", "--max-bytes", "1000"],
        ["export", "--quant-scheme", "dynamic-u8"],
        ["export", "--quantize", "--quant-scheme", "int2"],
        ["export", "--quantize", "--quant-scheme", "dynamic-u8", "--format", "torchscript"],
        ["export", "--format", "torchscript", "--opset", "17"],
        ["export", "--format", "torchscript", "--precision", "fp16"],
        ["fly"],
        ["plot", "augmentation", "--recipe", "mine"],
        ["tune", "--arch", "rnn"],
    ):
        assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "page", "--max-bytes", "1000000"],
        ["--format", "page", "--quantize"],
        ["--format", "page", "--format", "onnx", "--quantize", "--max-bytes", "1000000"],
        ["--format", "page", "--precision", "all"],
    ],
)
def test_a_format_without_fp32_is_quantized_without_saying_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FormatSpec, "missing_to_export", lambda _: [])
    result = run("export", tmp_path / "missing.safetensors", *arguments, "--output", tmp_path)
    assert_one_line_error(result, "missing.safetensors")  # the command line is right


@pytest.mark.parametrize("name", ["train", "tune", "plot"])
def test_every_option_says_what_it_does_and_what_it_is_without(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            assert (option.help or "").endswith("."), option.opts
            assert option.is_flag or option.show_default, option.opts


def test_a_misspelled_command_is_answered_with_the_right_one() -> None:
    for typed, answer in (("trian", "'trian'. Did you mean 'train'?"), ("fly", "'fly'.")):
        result = run(typed)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1] == f"Error: No such command {answer}"


def test_the_checkout_and_the_module_are_the_command() -> None:
    for entry in (["cli.py"], ["-m", "mnist_edge"]):
        done = subprocess.run(
            [sys.executable, *entry, "predict", TWO], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[1].split()[:2] == [TWO, "2"]


def test_train_writes_a_checkpoint_that_evaluate_reads(tmp_path: Path) -> None:
    output = tmp_path / "new" / "c.safetensors"
    options = ["--epochs", 1, "--batch-size", 500, "--lr", 0.2, "--momentum", 0.8, "--seed", 3]
    result = run("train", *map(str, options), "--output", output, "--data-dir", DATA, "--json")
    assert result.exit_code == 0, result.output
    written = json.loads(result.stdout)
    assert written["checkpoint"] == str(output)
    assert "epoch 1/1  mean loss" in result.stderr
    result = run("evaluate", output, "--data-dir", DATA, "--json")
    (measured,) = json.loads(result.stdout)
    assert measured["accuracy"] == pytest.approx(written["validation_accuracy"], abs=0.03)
    assert measured["images"] == 10_000


@pytest.mark.slow
def test_evaluate_puts_everything_in_one_table(exported: list[Artifact]) -> None:
    models = [RELEASED, *(artifact.path for artifact in exported[::4])]
    result = run("evaluate", *models, "--data-dir", DATA)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if " of 10,000" in line]
    assert [row[0] for row in rows] == [model.name for model in models]
    assert all(f"{model}: answers for each label" in result.stdout for model in models)
    assert result.stdout.count("recall") == len(models)


@pytest.mark.slow
def test_export_and_verify_print_the_figures(tmp_path: Path) -> None:
    result = run("export", RELEASED, "--quantize", "--output", tmp_path, "--data-dir", DATA)
    assert result.exit_code == 0, result.output
    for expected in ("mnist-mlp.onnx", "mnist-mlp-int8.onnx", "passed", "100.00%"):
        assert expected in result.stdout

    damaged = tmp_path / "mnist-mlp.onnx"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    both = [damaged, tmp_path / "mnist-mlp-int8.onnx"]
    result = run("verify", *both, "--checkpoint", RELEASED, "--data-dir", DATA, "--json")
    assert result.exit_code == 1
    assert [report["passed"] for report in json.loads(result.stdout)] == [False, True]
    assert all(line.startswith(f"{damaged}: ") for line in result.stderr.splitlines())


def test_errors_that_a_user_causes_are_one_line(tmp_path: Path) -> None:
    assert_one_line_error(run("export", tmp_path / "missing"), "mnist-edge train")
    assert_one_line_error(run("evaluate", TWO, "--data-dir", DATA), "cannot tell the format")
    assert_one_line_error(run("verify", TWO, "--checkpoint", TWO, "--data-dir", DATA), "not a checkpoint")


@pytest.mark.parametrize(
    ("command", "package", "extra"), [("train", "torch", "train"), ("train", "rich", "train"), ("tune", "rich", "tune")]
)
def test_a_command_whose_extra_is_missing_says_which(command: str, package: str, extra: str) -> None:
    """In a process of its own, since modules that were imported without it would stay."""
    program = f"import sys; sys.modules['{package}'] = None; from mnist_edge.cli import main; main(['{command}'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"pip install 'mnist-edge[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("export", "--format", "onnx"),
            "cannot export to onnx: torch not installed; pip install 'mnist-edge[export]'",
        ),
        (("export", "-f", "litert"), "cannot export to litert: torch not installed; pip install 'mnist-edge[litert]'"),
        (("verify", "a.onnx"), "cannot verify onnx: torch not installed; pip install 'mnist-edge[export]'"),
    ],
)
def test_where_torch_is_missing_the_extra_of_the_format_is_named(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of torch alone would not be enough: whoever installed it would meet the next refusal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FormatSpec, "_is_missing", lambda _, name: name == "torch")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert_one_line_error(run(*words), message)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_edge.runtime.builtin_models.model_path", lambda _: 1 / 0)
    assert isinstance(run("predict", TWO, "--model", "mlp").exception, ZeroDivisionError)


def test_the_extra_that_is_named_for_a_package_is_the_one_that_brings_it() -> None:
    """As `pyproject.toml` has it; `all` and `dev` are made of the others and for the development alone."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    imported = {"scikit-learn": "sklearn", "protobuf": "google"}
    brought = {
        imported.get(name, name.replace("-", "_")): extra
        for extra, requirements in extras.items()
        if extra not in ("all", "dev")
        for name in (re.split(r"[><=;\[ ]", requirement)[0] for requirement in requirements)
        if name not in ("mnist-edge", "onnxruntime")  # which every installation has
    }
    indirectly = {"sqlalchemy": "tune"}  # which optuna brings
    assert {**brought, **indirectly} == EXTRAS


def test_a_value_that_is_not_a_number_is_a_usage_error() -> None:
    for arguments in (
        ["predict", TWO, "--min-confidence", "nan"],
        ["export", "--max-logit-error", "nan"],
        ["export", "--min-agreement", "nan"],
        ["export", "--max-accuracy-drop", "inf"],
        ["export", "--max-accuracy-drop", "101"],
        ["train", "--lr", "nan"],
        ["train", "--weight-decay", "inf"],
    ):
        assert run(*arguments).exit_code == 2, arguments


def test_a_program_without_standard_streams_still_works() -> None:
    for streams in (">&-", "2>&-", ">&- 2>&-"):
        command = f"exec {sys.executable} -m mnist_edge predict {TWO} --format json {streams}"
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert streams != "2>&-" or json.loads(done.stdout)[0]["digit"] == 2
