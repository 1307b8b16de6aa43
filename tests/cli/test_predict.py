import csv
import dataclasses
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
from mnist_edge.formats.runner import Runner
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.runtime.selfcheck import SelfCheck, selfcheck
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


def test_it_is_the_built_in_model_unless_another_is_named(exports: Path, folder: Path) -> None:
    (folder / "exports").symlink_to(exports)
    assert predict(TWO).stderr == "model: built-in mnist-mlp-int8.onnx\n"
    assert predict(TWO, "--quiet").stderr == ""
    assert predict(TWO, "-m", "exports/mnist-mlp.onnx").stderr == "model: exports/mnist-mlp.onnx\n"


def test_a_built_in_model_by_name() -> None:
    for name in ("mlp", "cnn"):
        result = predict(TWO, "--model", name, "--format=digits")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "2\n", "")
        assert predict(TWO, "--model", name).stderr == f"model: built-in mnist-{name}-int8.onnx\n"


def test_a_file_that_is_not_a_model_is_one_line(tmp_path: Path) -> None:
    picture = Path(shutil.copy(TWO, tmp_path / "picture.onnx"))
    for model, message in (
        (tmp_path / "missing.onnx", "No such file"),
        (picture, "cannot use"),
        (Path(TWO), "cannot tell the format"),
        ("mpl", "expected a built-in one (mlp, cnn) or an exported file; did you mean mlp?"),
    ):
        result = predict(TWO, "--model", model)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert message in result.stderr


@pytest.mark.usefixtures("folder")
def test_json_with_a_file_that_cannot_be_read() -> None:
    result = predict("missing.png", TWO, "--format=json")
    assert result.exit_code == 1
    bad, good = json.loads(result.stdout)
    assert list(good) == ["path", "status", "label", "digit", "confidence", "probabilities", "model"]
    assert (good["path"], good["status"], good["digit"]) == (TWO, "ok", 2)
    assert good["confidence"] == max(good["probabilities"])
    assert good["model"] == "mnist-mlp-int8.onnx"
    assert bad == {
        "path": "missing.png",
        "status": "unreadable",
        "label": None,
        "digit": None,
        "confidence": None,
        "probabilities": [],
        "model": "mnist-mlp-int8.onnx",
    }
    assert "missing.png: unreadable: No such file or directory" in result.stderr


@pytest.mark.usefixtures("folder")
def test_json_lines_csv_and_digits_say_the_same() -> None:
    pictures = ["a/two.png", "missing.png", "a/seven.png"]
    lines = [json.loads(line) for line in predict(*pictures, "--format=jsonl").stdout.splitlines()]
    assert lines == json.loads(predict(*pictures, "--format=json").stdout)
    rows = list(csv.DictReader(io.StringIO(predict(*pictures, "--format=csv").stdout)))
    assert list(rows[0]) == ["path", "status", "label", "digit", "confidence", "model"]
    assert [row["digit"] for row in rows] == ["2", "", "7"]
    assert float(rows[0]["confidence"]) == lines[0]["confidence"]
    assert predict(*pictures, "--format=digits").stdout == "2\n-\n7\n"


@pytest.mark.usefixtures("folder")
def test_the_most_probable_digits() -> None:
    (answer,) = json.loads(predict("a/five.png", "--format=json", "--top-k", "3").stdout)
    assert [entry["digit"] for entry in answer["top"]] == np.argsort(answer["probabilities"])[::-1][:3].tolist()
    assert [entry["confidence"] for entry in answer["top"]] == sorted(answer["probabilities"])[::-1][:3]
    (row,) = csv.DictReader(io.StringIO(predict("a/five.png", "--format=csv", "--top-k", "2").stdout))
    assert row["digit_2"] == str(answer["top"][1]["digit"])
    assert row["label_2"] == answer["top"][1]["label"] == row["digit_2"]
    assert re.search(r"  then \d \(\d+\.\d%\), \d \(", predict("a/five.png", "--top-k", "3").stdout)


@pytest.mark.usefixtures("folder")
def test_there_are_at_most_as_many_ranks_as_labels() -> None:
    (answer,) = json.loads(predict("a/five.png", "--format=json", "--top-k", "99").stdout)
    assert sorted(entry["digit"] for entry in answer["top"]) == list(range(10))
    (row,) = csv.DictReader(io.StringIO(predict("a/five.png", "--format=csv", "--top-k", "99").stdout))
    assert row["digit_10"] == str(answer["top"][-1]["digit"])
    assert "digit_11" not in row


@pytest.mark.usefixtures("folder")
def test_folders_patterns_and_their_order() -> None:
    def names(*arguments: str) -> list[str]:
        return [json.loads(line)["path"] for line in predict(*arguments, "--format=jsonl").stdout.splitlines()]

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
def test_what_holds_no_picture_is_reported() -> None:
    Path("empty").mkdir()
    result = predict("empty", "x*.png", TWO)
    assert result.exit_code == 1
    assert "empty: there are no pictures in this folder; --recursive reads subfolders" in result.stderr
    assert "x*.png: unreadable: No such file" in result.stderr
    alone = predict("empty", "--format=jsonl")
    assert (alone.exit_code, alone.stdout, len(alone.stderr.splitlines())) == (1, "", 2)


def test_circles_of_folders_end(folder: Path) -> None:
    Path("a/deep/circle").symlink_to(folder / "a")
    assert len(predict("a", "--recursive", "--format=digits").stdout.splitlines()) == 2 * len(DIGITS)


def test_a_picture_on_standard_input() -> None:
    result = predict("-", TWO, "--format=json", stdin=(EXAMPLES / "seven.png").read_bytes())
    assert [(answer["path"], answer["digit"]) for answer in json.loads(result.stdout)] == [("-", 7), (TWO, 2)]
    empty = predict("-", stdin=b"")
    assert empty.exit_code == 1
    assert "-: unreadable: the file is empty" in empty.stderr


@pytest.mark.parametrize(("end", "options"), [(b"\n", []), (b"\r\n", []), (b"\0", ["--null"]), (b"\0", ["-0"])])
@pytest.mark.usefixtures("folder")
def test_names_from_a_list(end: bytes, options: list[str]) -> None:
    names = [b"a/two.png", b"a/seven.png", b"a/five.png"]
    listing = end.join(names) + end * 2
    assert predict("--files-from", "-", *options, "--format=digits", stdin=listing).stdout == "2\n7\n5\n"
    Path("list").write_bytes(end.join(names))
    assert predict("a/three.jpg", "--files-from", "list", *options, "--format=digits").stdout == "3\n2\n7\n5\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "jobs"), [("jsonl", "1"), ("csv", "1"), ("digits", "1"), ("jsonl", "2"), ("digits", "2")]
)
def test_answers_come_while_names_are_still_to_come(name: str, jobs: str) -> None:
    command = [*COMMAND, "--files-from", "-", "--format", name, "--jobs", jobs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if name == "csv":
            assert process.stdout.readline().startswith(b"path,")
        for picture, digit in (("two", 2), ("seven", 7)):
            process.stdin.write(f"a/{picture}.png\n".encode())
            process.stdin.flush()
            line = process.stdout.readline()
            assert str(digit).encode() in line
            assert name == "digits" or f"a/{picture}.png".encode() in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--null", TWO],
        ["-", "--files-from", "-"],
        ["--top-k", "0", TWO],
        ["--min-confidence", "2", TWO],
        ["--jobs", "0", TWO],
        ["--format", "xml", TWO],
        ["--visualize", "out.png", TWO, TWO],
        ["--visualize", "out.png", "--jobs", "2", TWO],
        ["--show-input", "--jobs", "2", TWO],
        ["--top-k", "2", "--format", "digits", TWO],
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
    answers = json.loads(predict(TWO, "blank.png", "missing.png", "--format=json").stdout)
    assert [answer["status"] for answer in answers] == ["ok", "no_digit", "unreadable"]
    (uncertain,) = json.loads(predict(TWO, "--format=json", "--min-confidence", "1").stdout)
    assert (uncertain["status"], uncertain["digit"]) == ("uncertain", 2)
    rows = predict(TWO, "blank.png", "--min-confidence", "1").stdout.splitlines()
    assert rows[1].endswith("uncertain")
    assert rows[2].endswith("no digit")


def test_noise_is_uncertain_or_no_digit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert predict(tmp_path / "noise.png").exit_code in {1, 3}
    assert predict(tmp_path / "noise.png", "--min-confidence", "0").exit_code in {0, 1}


@pytest.mark.slow
def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    names = [str(EXAMPLES / name) for name in DIGITS] * 40 + ["missing.png", TWO]
    (tmp_path / "list").write_text("\n".join(names))
    alone, together = (run("--files-from", tmp_path / "list", "--format=jsonl", "--jobs", jobs) for jobs in ("1", "2"))
    assert alone.stdout == together.stdout
    assert (alone.returncode, together.returncode) == (1, 1)
    assert sorted(alone.stderr.splitlines()) == sorted(together.stderr.splitlines())


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{TWO}\n" * 300)
    for name in ("jsonl", "csv", "digits"):
        predict_all = f"{sys.executable} -m mnist_edge predict --files-from list --format {name}"
        command = f"set -o pipefail; {predict_all} | head -1"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
        assert done.stderr in {"", "model: built-in mnist-mlp-int8.onnx\n"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, TWO, "--format=digits"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write the answers: No space left on device\n")


@pytest.mark.slow
def test_names_of_any_bytes_keep_to_their_line(tmp_path: Path) -> None:
    good = (EXAMPLES / "two.png").read_bytes()
    names = [b"new\nline.png", b"escape\x1b[31m.png", b"\xff\xfe.png", "zwölf 数.png".encode(), b" .png", b"-x.png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(good)
    for options, lines in (((), 7), (("--format=csv",), 7), (("--format=jsonl",), 6), (("--format=digits",), 6)):
        done = run(*options, "--", *names, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.decode().splitlines()) == lines
        assert b"\x1b" not in done.stdout
    paths = [json.loads(line)["path"] for line in run("--format=jsonl", "--", *names, cwd=tmp_path).stdout.splitlines()]
    assert [os.fsencode(path) for path in paths] == names
    assert len(run(*[name + b"?" for name in names[:5]], cwd=tmp_path).stderr.splitlines()) == 6


def test_a_terminal_without_blocks_gets_other_bars() -> None:
    done = run(TWO, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.decode("ascii").rstrip().endswith("#" * 20)


@pytest.mark.parametrize(
    "name", ["json", *(pytest.param(name, marks=pytest.mark.slow) for name in ("table", "jsonl", "csv", "digits"))]
)
def test_hostile_files_cost_only_their_own_answer(name: str, tmp_path: Path) -> None:
    files = {**hostile.broken(), **{name: hostile.bombs()[name]() for name in ("tile.tif", "60000.png")}}
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "folder.png").mkdir()
    shutil.copy(TWO, tmp_path / "good.png")
    names = [*files, "pipe.png", "circle.png", "/dev/zero", "good.png"]
    done = run(*names, "--format", name, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    failures = [line for line in done.stderr.decode().splitlines() if ": unreadable: " in line]
    assert len(failures) == len(names) - 1
    assert len(done.stderr.splitlines()) == len(failures) + (name != "digits")
    assert b"2" in done.stdout.splitlines()[-1] or name == "json"


def workers_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up as Linux lists them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(number: signal.Signals) -> None:
    """Also where they wait for pictures, of which no more come."""
    command = [*COMMAND, "--files-from", "-", "--format=jsonl", "--jobs", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{TWO}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["digit"] == 2
        workers = workers_of(process.pid)
        assert len(workers) >= 2
        process.send_signal(number)
        process.wait(timeout=60)
        deadline = time.monotonic() + 60
        while any(map(is_running, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_running, workers))
        assert process.stderr is not None
        assert process.stderr.read() == b"model: built-in mnist-mlp-int8.onnx\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_the_middle_of_a_long_call(number: signal.Signals) -> None:
    """The call is one that no signal interrupts, in place of that of a model."""
    program = (
        "import hashlib, mnist_edge.cli\n"
        "from mnist_edge.runtime.recognizer import Recognizer\n"
        "def endless(self, images):\n"
        "    print('calling', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n"
        "Recognizer._answer = endless\n"
        "mnist_edge.cli.main()"
    )
    command = [sys.executable, "-c", program, "predict", "--format=digits", TWO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"calling\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr == (b"Error: interrupted\n" if number == signal.SIGINT else b"")


def test_ctrl_c_ends_every_process_quietly(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{TWO}\n" * 200_000)
    command = [*COMMAND, "--files-from", str(tmp_path / "list"), "--format=jsonl", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - start < 30
    assert process.returncode == 130
    assert stderr.splitlines() == ["model: built-in mnist-mlp-int8.onnx", "Error: interrupted"]


@pytest.mark.usefixtures("folder")
def test_visualize_draws_and_show_input_shows() -> None:
    result = predict(TWO, "--visualize", "steps.png", "--show-input")
    assert result.exit_code == 0
    with Image.open("steps.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 3 * sheet.height // 2
    drawn = [line for line in result.stderr.splitlines() if "█" in line]
    assert len(drawn) >= 8
    assert all(len(line) == 28 for line in drawn)


@pytest.mark.usefixtures("folder")
def test_a_sheet_never_shows_another_picture() -> None:
    Image.new("L", (40, 40), 255).save("blank.png")
    for name in ("missing.png", "blank.png"):
        result = predict(name, "--visualize", "steps.png", "--show-input")
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 2
        assert not Path("steps.png").exists()
        assert predict(TWO, "--visualize", "steps.png").exit_code == 0
        assert Path("steps.png").exists()
        result = predict(name, "--visualize", "steps.png")
        assert result.exit_code == 1
        assert "steps.png: removed, since it showed another picture, and there is nothing to draw" in result.stderr
        assert not Path("steps.png").exists()
    assert predict(TWO, "--visualize", "missing.txt/steps.png").exit_code == 0
    Path("file").write_text("")
    refused = predict(TWO, "--visualize", "file/steps.png")
    assert refused.exit_code == 1
    assert "cannot write file/steps.png" in refused.stderr


@pytest.mark.usefixtures("folder")
def test_visualize_does_not_write_over_the_picture() -> None:
    Path("same.png").write_bytes(Path(TWO).read_bytes())
    result = predict("same.png", "--visualize", "./same.png")
    assert result.exit_code == 2
    assert Path("same.png").read_bytes() == Path(TWO).read_bytes()


@pytest.mark.usefixtures("folder")
def test_each_input_is_shown_before_its_answer() -> None:
    done = subprocess.run(
        [*COMMAND, "a/two.png", "missing.png", "a/seven.png", "--show-input", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    kinds = ["shown" if len(line) == 28 else line[:8] for line in done.stdout.splitlines()]
    shown, answer = ["shown"] * 14, '{"path":'
    assert kinds == ["model: b", *shown, answer, "missing.", answer, *shown, answer]


@pytest.mark.usefixtures("folder")
def test_the_runner_that_answers_is_the_one_that_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []

    def failing(path: Path, runner: Runner) -> SelfCheck:
        checked.append(runner)
        return dataclasses.replace(selfcheck(path, runner), max_abs_diff=9.0)

    assert predict(TWO, "--selfcheck").exit_code == 0
    monkeypatch.setattr("mnist_edge.runtime.selfcheck.selfcheck", failing)
    refused = predict(TWO, "--selfcheck")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "gives other numbers here than it must (|Δlogit| 9, allowed 0.0001)" in refused.stderr
    assert len(checked) == 1


@pytest.mark.usefixtures("folder")
def test_a_self_check_that_fails_by_its_answers_alone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path, runner: Runner) -> SelfCheck:
        check = selfcheck(path, runner)
        return dataclasses.replace(check, max_abs_diff=0.0, agreement=check.images - 1)

    monkeypatch.setattr("mnist_edge.runtime.selfcheck.selfcheck", failing)
    refused = predict(TWO, "--selfcheck")
    count = len(Recognizer().runner.test_vectors.inputs)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"with the right answer to {count - 1} of {count} images" in refused.stderr
