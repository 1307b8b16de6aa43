"""What commands may write to: refused before the work where it is not a file, or not one of theirs."""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mnist_edge.cli import main
from mnist_edge.cli.outputs import CHECKPOINT, FIGURE, HISTORY, HTML, JUNIT, SHEET, OutputKind
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.exporting.report.environment import Environment
from mnist_edge.exporting.report.html import html_report
from mnist_edge.exporting.report.junit import junit
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.training.checkpoint import load_checkpoint
from mnist_edge.training.figures import curves_figure, save_figure
from mnist_edge.training.history import history_table
from tests.conftest import DATA, RELEASED, ROOT

TWO = ROOT / "examples" / "two.png"
SEVEN = ROOT / "examples" / "seven.png"

WRITERS: dict[str, tuple[list[str], str, str]] = {
    "train": (["train", "--output"], ".safetensors", "a checkpoint"),
    "curves": (["train", "--output", "new.safetensors", "--curves"], ".svg", "a figure"),
    "import": (["import", "a.pt", "--arch", "net.py:Net", "--output"], ".safetensors", "a checkpoint"),
    "plot": (["plot", "samples", "-o"], ".png", "a figure"),
    "tune": (["tune", "--figure"], ".png", "a figure"),
    "evaluate": (["evaluate", str(RELEASED), "--corruptions", "--figure"], ".svg", "a figure"),
    "html": (["verify", "a.onnx", "--html"], ".html", "a report"),
    "junit": (["verify", "a.onnx", "--junit"], ".xml", "a report"),
    "visualize": (["predict", str(TWO), "--visualize"], ".jpg", "a picture"),
}
"""For each command that writes a file of its own: its words before the name, the suffix, what it calls the file."""

writers = pytest.mark.parametrize(
    ("words", "suffix"), [(words, suffix) for words, suffix, _ in WRITERS.values()], ids=list(WRITERS)
)


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command that would fail by its data, were its outputs not refused before."""
    data = tmp_path_factory.mktemp("data")
    (data / "MNIST" / "raw").mkdir(parents=True)
    (data / "MNIST" / "raw" / "train-images-idx3-ubyte").touch()

    def invoke(words: list[str], *more: str | Path) -> Result:
        named = [] if words[0] == "predict" else ["--data-dir", str(data)]
        return CliRunner().invoke(main, [*words, *map(str, more), *named])

    return invoke


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@writers
def test_a_suffix_that_is_not_the_commands_own_is_a_usage_error(
    run: Run, words: list[str], suffix: str, tmp_path: Path
) -> None:
    for name in ("out", f"out{suffix}.gz", "out.pth", "/dev/stdout"):
        result = run(words, name)
        assert result.exit_code == 2, name
        assert f"does not end in {suffix[:3]}" in result.stderr or f" or {suffix}" in result.stderr
    assert list(tmp_path.iterdir()) == []


@writers
def test_what_is_not_a_regular_file_is_refused_and_left_alone(
    run: Run, words: list[str], suffix: str, tmp_path: Path
) -> None:
    pipe, device, other, folder = (tmp_path / f"{name}{suffix}" for name in ("pipe", "device", "socket", "folder"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other))
        before = {path: path.stat().st_mode for path in tmp_path.iterdir()}
        for path in (pipe, device, other):
            result = run(words, path, "--force")
            assert result.exit_code == 1, result.output
            assert result.stderr == (
                f"Error: cannot write {path}: it is a pipe, a device or a socket; nothing was changed\n"
            )
        assert run(words, folder).exit_code == 2
        assert {path: path.stat().st_mode for path in tmp_path.iterdir()} == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(("words", "suffix", "kind"), WRITERS.values(), ids=list(WRITERS))
def test_a_foreign_file_is_replaced_with_force_alone(
    run: Run, words: list[str], suffix: str, kind: str, tmp_path: Path
) -> None:
    foreign = tmp_path / f"mine{suffix}"
    shutil.copy(TWO, foreign)
    result = run(words, foreign)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {foreign} is not {kind} of mnist-edge: name another file, or replace it with --force\n"
    )
    assert foreign.read_bytes() == TWO.read_bytes()
    assert "--force" not in run(words, foreign, "--force").stderr


@writers
def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    run: Run, words: list[str], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system, which has the same error for root."""
    opened = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_ACCMODE and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", read_only)
    result = run(words, tmp_path / "new" / f"out{suffix}")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
    assert "Read-only file system" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_history_that_train_did_not_write_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,mark\n")
    result = run(["train", "--output"], "a.safetensors")
    assert result.exit_code == 1
    assert "a.csv is not a training's history of mnist-edge" in result.stderr


def test_what_mnist_edge_wrote_is_known_again(run: Run, reference: Reference, reports: dict[str, ParityReport]) -> None:
    report = [next(iter(reports.values()))]
    trained = load_checkpoint(RELEASED)
    figure = curves_figure(trained.history)
    for suffix in FIGURE.marks:
        save_figure(figure, Path(f"figure{suffix}"))
    for suffix in SHEET.marks:
        done = run(["predict", str(TWO), "--visualize"], f"sheet{suffix}")
        assert done.exit_code == 0, done.output
    Path("page.html").write_bytes(html_report(report, [reference], Environment.here()))
    Path("page.xml").write_bytes(junit(report))
    assert trained.recipe is not None
    Path("a.csv").write_bytes(history_table(trained.history, trained.recipe, 55_000))
    ours: dict[Path, OutputKind] = {
        RELEASED: CHECKPOINT,
        Path("page.html"): HTML,
        Path("page.xml"): JUNIT,
        Path("a.csv"): HISTORY,
        **{Path(f"figure{suffix}"): FIGURE for suffix in FIGURE.marks},
        **{Path(f"sheet{suffix}"): SHEET for suffix in SHEET.marks},
    }
    for path, kind in ours.items():
        assert kind.wrote(path), path
    Path("empty.png").touch()
    assert FIGURE.wrote(Path("empty.png"))
    assert not FIGURE.wrote(TWO)


def test_a_sheet_is_of_the_format_that_its_suffix_says(run: Run) -> None:
    for suffix, format in ((".png", "PNG"), (".jpg", "JPEG"), (".jpeg", "JPEG")):
        for picture in (TWO, SEVEN):  # the second replaces the first without --force
            assert run(["predict", str(picture), "--visualize"], f"sheet{suffix}").exit_code == 0
        with Image.open(f"sheet{suffix}") as sheet:
            assert sheet.format == format
            assert sheet.width > 300


@pytest.mark.slow
def test_an_export_replaces_artifacts_alone(exported: list[Artifact], tmp_path: Path) -> None:
    target = tmp_path / "out" / "mnist-mlp.onnx"
    target.parent.mkdir()
    words = ["export", str(RELEASED), "--output", str(target.parent), "--data-dir", str(DATA)]
    shutil.copy(TWO, target)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"{target} is not an artifact of mnist-edge" in result.stderr
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    (artifact,) = (each for each in exported if each.path.name == target.name)
    target.write_bytes(artifact.path.read_bytes()[:-9])
    assert CliRunner().invoke(main, words).exit_code == 0
    assert target.read_bytes() == artifact.path.read_bytes()
    shutil.copy(TWO, target)
    assert CliRunner().invoke(main, [*words, "--force"]).exit_code == 0
    assert target.read_bytes() == artifact.path.read_bytes()
