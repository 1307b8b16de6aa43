"""Reports of several devices become one table and one page; what is not a report ends in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mnist_edge.benchmark.matrix import read_reports
from mnist_edge.cli import main
from mnist_edge.errors import UserError


def report(*checks: dict[str, Any], architecture: str = "aarch64") -> dict[str, Any]:
    machine = {
        "system": "Linux",
        "architecture": architecture,
        "processor": "Cortex-A76 <b>",
        "features": None,
        "versions": {"onnxruntime": "1.31.1"},
    }
    return {"machine": machine, "checks": list(checks)}


def check(file: str = "exports/a.onnx", *, passed: bool = True, **more: object) -> dict[str, Any]:
    return {
        "file": file,
        "format": "onnx",
        "passed": passed,
        "max_abs_diff": 1e-6,
        "latency_seconds": 12.34e-6,
        **more,
    }


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_what_selfcheck_prints_is_what_matrix_takes(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["selfcheck", "--json"])
    (tmp_path / "here.json").write_text(printed.stdout)
    result = CliRunner().invoke(main, ["matrix", str(tmp_path / "here.json"), "--json"])
    assert result.exit_code == 0, result.output
    outcomes = json.loads(result.stdout)
    assert [outcome["file"] for outcome in outcomes] == ["mnist-mlp-int8.onnx", "mnist-cnn-int8.onnx"]
    assert {outcome["device"] for outcome in outcomes} == {"here"}
    assert all(outcome["passed"] and 1e-6 < outcome["latency_seconds"] < 0.1 for outcome in outcomes)


def test_devices_stand_beside_one_another_and_a_failure_is_exit_code_1(tmp_path: Path) -> None:
    bad = check("b.onnx", passed=False, max_abs_diff=None, latency_seconds=None, problem="cannot <script> it")
    one = written(tmp_path, "pi5.json", report(check(), bad))
    two = written(tmp_path, "pc.json", report(check("C:\\exports\\a.onnx"), architecture="AMD64"))
    page = tmp_path / "matrix.html"
    result = CliRunner().invoke(main, ["matrix", str(one), str(two), "--html", str(page)])
    assert result.exit_code == 1
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["pi5", "aarch64", "a.onnx", "onnx", "passed", "1e-06", "12.3"] in rows
    assert ["pc", "AMD64", "a.onnx", "onnx", "passed", "1e-06", "12.3"] in rows
    text = page.read_text()
    assert text.count("passed, 12.3 µs") == 2
    assert "1 of 3 checks FAILED" in text
    assert "b.onnx on pi5: cannot &lt;script&gt; it" in text
    assert "<b>" not in text
    assert text.index(">pi5<") < text.index(">pc<") < text.index(">a.onnx<")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"machine": {}, "checks": []},
        report({"file": "a"}),
        report({"file": 1, "passed": True}),
        report(check(latency_seconds="fast")),
        report("passed"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_a_report_ends_in_one_line(content: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="selfcheck --json") as caught:
        read_reports([written(tmp_path, "a.json", content)])
    assert "\n" not in str(caught.value)


def test_two_devices_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [written(tmp_path, "a.json", report(check())), written(tmp_path / "b", "a.json", report(check()))]
    with pytest.raises(UserError, match="two reports are called 'a'"):
        read_reports(paths)


def test_a_report_on_no_file_is_not_a_device_that_passes(tmp_path: Path) -> None:
    empty = written(tmp_path, "pi5.json", report())
    result = CliRunner().invoke(main, ["matrix", str(empty)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot understand " in result.stderr
    assert "pi5.json (it has no verdict on any file): expected what" in result.stderr
