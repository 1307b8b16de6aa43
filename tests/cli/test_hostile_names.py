"""Every command and form of output with text that steers terminals and is markup, wherever a stranger can put it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import manifest_bytes
from mnist_edge.cli import COMMANDS, main
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.cli.hostile import NAME, TEXT, UNSAFE, Files, write_files

MAX_ERROR_LINE = 1_020
"""Characters of a line on stderr: those of a message, and `Error: ` before it."""


@pytest.fixture(scope="module")
def files(released: Checkpoint, test_data: Split, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("hostile") / "["
    folder.mkdir()
    return write_files(folder, released, test_data.images[0, 0].numpy())


@pytest.fixture
def few_images(test_data: Split, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets of a few hundred images, for tests of what is said about them."""
    test = Split(test_data.images[:200], test_data.labels[:200])
    train, validation = training_data.train, training_data.validation
    data = TrainingData(
        Split(train.images[:256], train.labels[:256]),
        Split(validation.images[:300], validation.labels[:300]),
        training_data.digest,
    )
    for module in ("training.datasets.registry", "parity.reference"):
        monkeypatch.setattr(f"mnist_edge.{module}.load_test_data", lambda *_: test)
        monkeypatch.setattr(f"mnist_edge.{module}.load_training_data", lambda *_: data)


def run(*arguments: str | Path, encoding: str = "utf-8") -> Result:
    """Run a command line; what it prints can be read, and steers nothing."""
    result = CliRunner(charset=encoding).invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for written in (result.stdout_bytes, result.stderr_bytes):
        text = written.decode(encoding)
        assert not UNSAFE.search(text.replace("\n", "")), text
        assert not any(line.lstrip().startswith("forged") for line in text.splitlines()), text
    assert max(map(len, result.stderr.splitlines()), default=0) <= MAX_ERROR_LINE
    return result


@pytest.fixture(autouse=True)
def nothing_beside(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test in which a library writes to stdout or stderr by itself."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    ("name", "code"),
    [("model", 0), ("labels", 0), ("unknown", 1), ("broken", 1), ("checkpoint", 0), ("stranger", 1), ("missing", 1)],
)
def test_info(name: str, code: int, form: list[str], files: Files) -> None:
    result = run("info", getattr(files, name), *form)
    assert result.exit_code == code, result.output
    if form and not code:
        assert json.loads(result.stdout)["file"]["path"] == str(getattr(files, name))


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_selfcheck(form: list[str], files: Files) -> None:
    result = run("selfcheck", files.model, files.labels, files.unknown, files.broken, files.missing, *form)
    assert result.exit_code == 1
    if form:
        assert json.loads(result.stdout)["checks"][0]["file"] == str(files.model)


def test_manifests(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exported = Path("exports") / f"{NAME}.onnx"
    exported.parent.mkdir()
    exported.write_bytes(files.model.read_bytes())
    entry = {"file": exported.name, "format": "onnx", "sha256": sha256(exported.read_bytes())}
    for entries, code in (([entry], 0), ([entry, {**entry, "file": TEXT}], 1), ([{TEXT: TEXT}], 1)):
        (exported.parent / "manifest.json").write_bytes(manifest_bytes(entries))
        assert run("selfcheck", exported.parent).exit_code == code


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "digits"])
def test_predict(form: str, files: Files) -> None:
    result = run(
        "predict", "--model", files.labels, files.picture, files.unreadable, files.missing, "--format", form,
        *([] if form == "digits" else ["--top-k", "3"]),
    )  # fmt: skip
    assert result.exit_code == 1
    rows = result.stdout.splitlines()
    if form == "json":
        assert json.loads(result.stdout)[0]["path"] == str(files.picture)
    elif form == "jsonl":
        assert json.loads(rows[0])["path"] == str(files.picture)
    elif form == "csv":
        assert len({len(row) for row in csv.reader(rows)}) == 1
    assert len(rows) == {"json": len(rows), "jsonl": 3, "digits": 3}.get(form, 4)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_predict_shows_what_it_saw(encoding: str, files: Files, tmp_path: Path) -> None:
    sheet = tmp_path / f"{NAME}.png"
    shown = ["--show-input", "--visualize", str(sheet)]
    result = run("predict", "--model", files.labels, files.picture, *shown, encoding=encoding)
    assert result.exit_code == 0, result.output
    assert sheet.exists()
    assert run("predict", files.picture, files.missing, *shown, encoding=encoding).exit_code == 2


@pytest.mark.parametrize("model", ["model", "unknown", "broken", "missing"])
def test_predict_with_a_model_that_may_not_be_one(model: str, files: Files) -> None:
    result = run("predict", "--model", getattr(files, model), files.picture, files.folder / "*", "--selfcheck")
    assert result.exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.usefixtures("few_images")
def test_evaluate(form: list[str], files: Files) -> None:
    result = run("evaluate", files.labels, files.checkpoint, *form)
    assert result.exit_code == 0, result.output
    if form:
        assert json.loads(result.stdout)[0]["model"] == str(files.labels)
    result = run("evaluate", files.labels, files.model, *form)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "differ in their labels: evaluate them apart" in result.stderr
    assert run("evaluate", files.model, *form).exit_code == 0
    result = run("evaluate", files.model, "--corruptions", "--figure", files.folder / f"{NAME}.svg", *form)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["unknown", "broken", "stranger", "missing"])
def test_what_cannot_be_measured(name: str, files: Files) -> None:
    for command in (["evaluate"], ["plot", "confusion"]):
        assert run(*command, getattr(files, name)).exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.usefixtures("few_images")
def test_verify(form: list[str], files: Files, tmp_path: Path) -> None:
    html, junit = tmp_path / f"{NAME}.html", tmp_path / f"{NAME}.xml"
    artifacts = files.model, files.labels, files.unknown, files.broken, files.missing
    result = run(
        "verify", *artifacts, "--checkpoint", files.checkpoint, "--layers", "--html", html, "--junit", junit, *form
    )  # fmt: skip
    assert result.exit_code == 1
    if form:
        assert [report["file"] for report in json.loads(result.stdout)] == [str(path) for path in artifacts]
    page = html.read_text(encoding="utf-8")
    assert not UNSAFE.search(page.replace("\n", ""))
    assert "<script" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    root = ElementTree.parse(junit)
    for element in root.iter():
        words = [*element.attrib.values(), (element.text or "").replace("\n", "")]
        assert not any(UNSAFE.search(word) for word in words)


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_export(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "[" / NAME
    result = run("export", files.checkpoint, "--quantize", "--output", folder)
    assert result.exit_code == 0, result.output
    assert "schemes compared" in result.stdout
    result = run("export", files.checkpoint, "--output", folder, "--json")
    assert json.loads(result.stdout)[0]["precision"] == "fp32"
    for checkpoint in (files.stranger, files.broken, files.missing):
        assert run("export", checkpoint, "--output", folder).exit_code == 1
    assert run("export", files.checkpoint, "--output", files.broken).exit_code == 2


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("kind", ["confusion", "mistakes", "reliability", "curves"])
def test_plot(kind: str, files: Files, tmp_path: Path) -> None:
    figure = tmp_path / f"{NAME}.svg"
    result = run("plot", kind, files.checkpoint, "--output", figure)
    assert result.exit_code == 0, result.output
    ElementTree.parse(figure)
    assert run("plot", "augmentation", "--recipe", TEXT).exit_code == 2


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.usefixtures("few_images")
def test_train(form: list[str], tmp_path: Path) -> None:
    output = tmp_path / f"{NAME}.safetensors"
    result = run("train", "--epochs", "1", "--output", output, *form)
    assert result.exit_code == 0, result.output
    if form:
        assert json.loads(result.stdout)["checkpoint"] == str(output)
    assert run("train", "--epochs", "1", "--output", output, "--resume").exit_code == 1


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_tune(tmp_path: Path) -> None:
    options = ["--epochs", "1", "--study", TEXT, "--storage", f"sqlite:///{tmp_path / 'tune.db'}"]
    assert run("tune", "--trials", "1", *options).exit_code == 0
    assert run("tune", "--trials", "0", "--storage", TEXT).exit_code == 1


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_command_lines_that_are_wrong(name: str) -> None:
    command = [*filter(None, [name])]
    for wrong in (TEXT, f"--{TEXT}", "--" + "x" * 5_000):
        assert run(*command, wrong, wrong).exit_code in (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--format", TEXT],
        ["export", "--precision", TEXT],
        ["plot", TEXT],
        ["plot", "samples", "--output", TEXT],
        ["predict", "x.png", "--top-k", TEXT],
        ["train", "--arch", TEXT],
    ],
)
def test_values_that_are_wrong(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.usefixtures("few_images")
def test_measurements_on_consoles_of_other_encodings(encoding: str, files: Files) -> None:
    assert run("info", files.checkpoint, encoding=encoding).exit_code == 0
    assert run("evaluate", files.labels, encoding=encoding).exit_code == 0
    assert run("evaluate", files.model, "--corruptions", encoding=encoding).exit_code == 0
    assert run("verify", files.labels, "--checkpoint", files.checkpoint, encoding=encoding).exit_code == 1


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_an_export_on_a_console_of_another_encoding(files: Files, tmp_path: Path) -> None:
    exported = run("export", files.checkpoint, "--output", tmp_path, encoding="cp1252")
    assert exported.exit_code == 0
    assert "|dlogit|" in exported.stdout
    (artifact,) = tmp_path.glob("*.onnx")
    assert run("verify", artifact, "--checkpoint", files.checkpoint, "--layers", encoding="cp1252").exit_code == 0
