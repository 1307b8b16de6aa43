import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mnist_edge.cli import main
from tests.conftest import ROOT
from tests.preprocessing import hostile_pictures as hostile

EXAMPLES = ROOT / "examples"
DIGITS = {"five.png": 5, "seven.png": 7, "three.jpg": 3, "two.png": 2}
TWO = str(EXAMPLES / "two.png")
COMMAND = [sys.executable, "-m", "mnist_edge", "predict"]


def predict(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)], input=stdin)


def run(*arguments: str | bytes | Path, **options: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*COMMAND, *arguments], capture_output=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples in the current folder, and in a subfolder too."""
    for target in (tmp_path / "a", tmp_path / "a" / "deep"):
        target.mkdir()
        for name in DIGITS:
            shutil.copy(EXAMPLES / name, target)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_table_has_name_digit_confidence_and_bar() -> None:
    result = predict("a/two.png", "a/five.png")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["picture", "digit", "confidence"]
    assert [re.split(r"\s+", row)[:2] for row in rows] == [["a/two.png", "2"], ["a/five.png", "5"]]
    assert all(re.search(r"\d+\.\d%  █{19,20}$", row) for row in rows)
    assert len({row.index("%") for row in rows}) == 1
    assert result.stderr == "model: built-in mnist-mlp-int8.onnx\n"


def test_an_export_of_ones_own_is_preferred(exports: Path, folder: Path) -> None:
    (folder / "exports").symlink_to(exports)
    assert predict(TWO).stderr == "model: exports/mnist-mlp-int8.onnx\n"
    assert predict(TWO, "--model", "exports/mnist-mlp.onnx").stderr == "model: exports/mnist-mlp.onnx\n"


def test_a_built_in_model_by_name() -> None:
    for name in ("mlp", "cnn"):
        result = predict(TWO, "--model", name, "--quiet")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "2\n", "")
        assert predict(TWO, "--model", name).stderr == f"model: built-in mnist-{name}-int8.onnx\n"


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    for model, message in ((tmp_path / "missing.onnx", "No such file"), (Path(TWO), "cannot use")):
        result = predict(TWO, "--model", model)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert message in result.stderr


@pytest.mark.usefixtures("folder")
def test_json_with_a_file_that_cannot_be_read() -> None:
    result = predict("missing.png", TWO, "--json")
    assert result.exit_code == 1
    bad, good = json.loads(result.stdout)
    assert list(good) == ["path", "status", "digit", "confidence", "probabilities", "model"]
    assert (good["path"], good["status"], good["digit"]) == (TWO, "ok", 2)
    assert good["confidence"] == max(good["probabilities"])
    assert good["model"] == "mnist-mlp-int8.onnx"
    assert bad == {
        "path": "missing.png",
        "status": "unreadable",
        "digit": None,
        "confidence": None,
        "probabilities": [],
        "model": "mnist-mlp-int8.onnx",
    }
    assert "missing.png: unreadable: No such file or directory" in result.stderr


@pytest.mark.usefixtures("folder")
def test_json_lines_csv_and_quiet_say_the_same() -> None:
    pictures = ["a/two.png", "missing.png", "a/seven.png"]
    lines = [json.loads(line) for line in predict(*pictures, "--jsonl").stdout.splitlines()]
    assert lines == json.loads(predict(*pictures, "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(predict(*pictures, "--csv").stdout)))
    assert list(rows[0]) == ["path", "status", "digit", "confidence", "model"]
    assert [row["digit"] for row in rows] == ["2", "", "7"]
    assert float(rows[0]["confidence"]) == lines[0]["confidence"]
    assert predict(*pictures, "--quiet").stdout == "2\n-\n7\n"


@pytest.mark.usefixtures("folder")
def test_the_likeliest_digits() -> None:
    (answer,) = json.loads(predict("a/five.png", "--json", "--top-k", "3").stdout)
    assert [entry["digit"] for entry in answer["top"]] == np.argsort(answer["probabilities"])[::-1][:3].tolist()
    assert [entry["confidence"] for entry in answer["top"]] == sorted(answer["probabilities"])[::-1][:3]
    (row,) = csv.DictReader(io.StringIO(predict("a/five.png", "--csv", "--top-k", "2").stdout))
    assert row["digit_2"] == str(answer["top"][1]["digit"])
    assert re.search(r"  then \d \(\d+\.\d%\), \d \(", predict("a/five.png", "--top-k", "3").stdout)


@pytest.mark.usefixtures("folder")
def test_folders_patterns_and_their_order() -> None:
    def names(*arguments: str) -> list[str]:
        return [json.loads(line)["path"] for line in predict(*arguments, "--jsonl").stdout.splitlines()]

    here = [f"a/{name}" for name in sorted(DIGITS)]
    deep = [f"a/deep/{name}" for name in sorted(DIGITS)]
    assert names("a") == here
    assert names("a", "--recursive") == [*here, *deep]
    assert names("a/t*") == ["a/three.jpg", "a/two.png"]
    assert names("a/**/t*.png") == ["a/deep/two.png", "a/two.png"]
    assert names("a/two.png", "a/deep", "a/f*") == ["a/two.png", *deep, "a/five.png"]
    shutil.copy(TWO, "[odd]*.png")
    assert names("[odd]*.png") == ["[odd]*.png"]


@pytest.mark.usefixtures("folder")
def test_what_holds_no_picture_is_told() -> None:
    Path("empty").mkdir()
    result = predict("empty", "x*.png", TWO)
    assert result.exit_code == 1
    assert "empty: unreadable: Is a directory" in result.stderr
    assert "x*.png: unreadable: No such file" in result.stderr


def test_circles_of_folders_end(folder: Path) -> None:
    Path("a/deep/circle").symlink_to(folder / "a")
    assert len(predict("a", "--recursive", "--quiet").stdout.splitlines()) == 2 * len(DIGITS)


def test_a_picture_on_standard_input() -> None:
    result = predict("-", TWO, "--json", stdin=(EXAMPLES / "seven.png").read_bytes())
    assert [(answer["path"], answer["digit"]) for answer in json.loads(result.stdout)] == [("-", 7), (TWO, 2)]
    empty = predict("-", stdin=b"")
    assert empty.exit_code == 1
    assert "-: unreadable: the file is empty" in empty.stderr


@pytest.mark.parametrize(("end", "options"), [(b"\n", []), (b"\r\n", []), (b"\0", ["--null"])])
@pytest.mark.usefixtures("folder")
def test_names_from_a_list(end: bytes, options: list[str]) -> None:
    names = [b"a/two.png", b"a/seven.png", b"a/five.png"]
    listing = end.join(names) + end * 2
    assert predict("--files-from", "-", *options, "--quiet", stdin=listing).stdout == "2\n7\n5\n"
    Path("list").write_bytes(end.join(names))
    assert predict("a/three.jpg", "--files-from", "list", *options, "--quiet").stdout == "3\n2\n7\n5\n"


@pytest.mark.usefixtures("folder")
def test_answers_come_while_names_are_still_to_come() -> None:
    command = [*COMMAND, "--files-from", "-", "--jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("two", "seven"):
            process.stdin.write(f"a/{name}.png\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["path"] == f"a/{name}.png"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--null", TWO],
        ["-", "--files-from", "-"],
        ["--top-k", "0", TWO],
        ["--min-confidence", "2", TWO],
        ["--jobs", "0", TWO],
        ["--explain", "out.png", TWO, TWO],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    assert predict(*arguments, stdin=b"").exit_code == 2


def test_a_list_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    result = predict("--files-from", tmp_path / "missing")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("missing: No such file or directory")
    assert isinstance(result.exception, SystemExit)


@pytest.mark.usefixtures("folder")
def test_exit_codes_say_what_became_of_the_pictures() -> None:
    Image.new("L", (40, 40), 255).save("blank.png")
    assert predict(TWO).exit_code == 0
    assert predict(TWO, "--min-confidence", "1").exit_code == 3
    assert predict(TWO, "blank.png").exit_code == 1
    assert predict(TWO, "missing.png", "--min-confidence", "1").exit_code == 1
    statuses = [answer["status"] for answer in json.loads(predict(TWO, "blank.png", "missing.png", "--json").stdout)]
    assert statuses == ["ok", "no_digit", "unreadable"]
    (uncertain,) = json.loads(predict(TWO, "--json", "--min-confidence", "1").stdout)
    assert (uncertain["status"], uncertain["digit"]) == ("uncertain", 2)
    rows = predict(TWO, "blank.png", "--min-confidence", "1").stdout.splitlines()
    assert rows[1].endswith("uncertain")
    assert rows[2].endswith("no digit")


def test_noise_is_uncertain_or_no_digit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert predict(tmp_path / "noise.png").exit_code in {1, 3}
    assert predict(tmp_path / "noise.png", "--min-confidence", "0").exit_code in {0, 1}


def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    names = [str(EXAMPLES / name) for name in DIGITS] * 40 + ["missing.png", TWO]
    (tmp_path / "list").write_text("\n".join(names))
    alone, together = (run("--files-from", tmp_path / "list", "--jsonl", "--jobs", jobs) for jobs in ("1", "2"))
    assert alone.stdout == together.stdout
    assert (alone.returncode, together.returncode) == (1, 1)
    assert sorted(alone.stderr.splitlines()) == sorted(together.stderr.splitlines())


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{TWO}\n" * 300)
    for form in ("--jsonl", "--csv", "--quiet"):
        command = f"set -o pipefail; {sys.executable} -m mnist_edge predict --files-from list {form} | head -1"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
        assert done.stderr in {"", "model: built-in mnist-mlp-int8.onnx\n"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, TWO, "--quiet"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write the answers: No space left on device\n")


def test_names_of_any_bytes_keep_to_their_line(tmp_path: Path) -> None:
    good = (EXAMPLES / "two.png").read_bytes()
    names = [b"new\nline.png", b"escape\x1b[31m.png", b"\xff\xfe.png", "zwölf 数.png".encode(), b" .png", b"-x.png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(good)
    for options, lines in (((), 7), (("--csv",), 7), (("--jsonl",), 6), (("--quiet",), 6)):
        done = run(*options, "--", *names, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.decode().splitlines()) == lines
        assert b"\x1b" not in done.stdout
    paths = [json.loads(line)["path"] for line in run("--jsonl", "--", *names, cwd=tmp_path).stdout.splitlines()]
    assert [os.fsencode(path) for path in paths] == names
    assert len(run(*[name + b"?" for name in names[:5]], cwd=tmp_path).stderr.splitlines()) == 6


def test_a_terminal_without_blocks_gets_other_bars() -> None:
    done = run(TWO, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.decode("ascii").rstrip().endswith("#" * 20)


@pytest.mark.parametrize(
    "form",
    ["--json", *(pytest.param(form, marks=pytest.mark.slow) for form in ("table", "--jsonl", "--csv", "--quiet"))],
)
def test_hostile_files_cost_only_their_own_answer(form: str, tmp_path: Path) -> None:
    files = {**hostile.broken(), "ztxt.png": hostile.bombs()["ztxt.png"], "60000.png": hostile.bombs()["60000.png"]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "folder.png").mkdir()
    shutil.copy(TWO, tmp_path / "good.png")
    names = [*files, "pipe.png", "circle.png", "/dev/zero", "good.png"]
    done = run(*names, *([] if form == "table" else [form]), cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    failures = [line for line in done.stderr.decode().splitlines() if ": unreadable: " in line]
    assert len(failures) == len(names) - 1
    assert len(done.stderr.splitlines()) == len(failures) + (form != "--quiet")
    assert b"2" in done.stdout.splitlines()[-1] or form == "--json"


def test_ctrl_c_ends_every_process_quietly(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{TWO}\n" * 200_000)
    command = [*COMMAND, "--files-from", str(tmp_path / "list"), "--jsonl", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        _, told = process.communicate(timeout=60)
    assert time.monotonic() - start < 30
    assert process.returncode == 1
    assert "Traceback" not in told
    assert told.splitlines()[-1] == "Aborted!"


@pytest.mark.usefixtures("folder")
def test_explain_draws_and_preview_shows() -> None:
    result = predict(TWO, "--explain", "steps.png", "--preview")
    assert result.exit_code == 0
    with Image.open("steps.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 3 * sheet.height // 2
    drawn = [line for line in result.stderr.splitlines() if "█" in line]
    assert len(drawn) >= 8
    assert all(len(line) == 28 for line in drawn)


@pytest.mark.usefixtures("folder")
def test_explain_of_what_cannot_be_read_writes_nothing() -> None:
    Image.new("L", (40, 40), 255).save("blank.png")
    for name in ("missing.png", "blank.png"):
        result = predict(name, "--explain", "steps.png", "--preview")
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 2
        assert not Path("steps.png").exists()
    assert predict(TWO, "--explain", "missing.txt/steps.png").exit_code == 0
    Path("file").write_text("")
    refused = predict(TWO, "--explain", "file/steps.png")
    assert refused.exit_code == 1
    assert "cannot write file/steps.png" in refused.stderr


@pytest.mark.usefixtures("folder")
def test_explain_does_not_write_over_the_picture() -> None:
    Path("same.png").write_bytes(Path(TWO).read_bytes())
    result = predict("same.png", "--explain", "./same.png")
    assert result.exit_code == 2
    assert Path("same.png").read_bytes() == Path(TWO).read_bytes()
