import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from mnist_edge.artifact.manifest import read_manifest
from mnist_edge.cli import main
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.checkpoint import Checkpoint, save_checkpoint
from tests.conftest import DATA, RELEASED
from tests.damage import edits
from tests.formats.page.chromium import needs_chromium

pytestmark = pytest.mark.usefixtures("reference_at_hand")


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["verify", *map(str, arguments), "--checkpoint", str(RELEASED), "--data-dir", str(DATA)]
    )


@pytest.fixture(scope="module")
def without_relu(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "without-relu.onnx"
    path.write_bytes(edits.tampered((exports / "mnist-mlp.onnx").read_bytes(), edits.drop_relu))
    return path


@pytest.mark.slow
def test_the_table_has_the_statistics_the_checks_and_the_verdict(exports: Path) -> None:
    result = verify(exports / "mnist-mlp.onnx", exports / "mnist-mlp-int8.onnx")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    rows = {line[:32].strip(): line for line in result.stdout.splitlines()}
    assert [line.split()[::6] for line in result.stdout.splitlines()[-2:]] == [
        ["mnist-mlp.onnx", "passed"],
        ["mnist-mlp-int8.onnx", "passed"],
    ]
    for name in ("largest |Δlogit|", "99.9th percentile of |Δlogit|", "SQNR", "McNemar's exact test", "batch 1,000"):
        assert name in rows
    assert "measured" in rows["shuffled batches"]
    assert "top-1 agreement" in rows
    assert "changed answer" in result.stdout


@pytest.mark.slow
def test_the_reports_are_written_though_the_file_fails(without_relu: Path, exports: Path, tmp_path: Path) -> None:
    html, junit = tmp_path / "new" / "report.html", tmp_path / "report.xml"
    result = verify(exports / "mnist-mlp.pt", without_relu, "--html", html, "--junit", junit, "--layers", "--json")
    assert result.exit_code == 1
    good, bad = json.loads(result.stdout)
    assert (good["passed"], bad["passed"]) == (True, False)
    assert good["statistics"]["agreement"]["value"] == 1
    assert good["layers"]["culprit"].startswith("no layer diverges")
    assert bad["layers"]["culprit"].startswith("first diverges at relu before fc2")
    assert bad["statistics"]["mcnemar"]["lost"] > 5_000
    assert all(line.startswith(f"{without_relu}: ") for line in result.stderr.splitlines())
    suites = list(ElementTree.parse(junit).iter("testsuite"))
    for suite in suites:
        times = [float(case.get("time", "")) for case in suite.iter("testcase")]
        assert 0 < sum(times) <= float(suite.get("time", "")) + 0.01 < 120
    failures = [
        case.get("name") for case in ElementTree.parse(junit).iter("testcase") if case.find("failure") is not None
    ]
    assert failures == ["structure", "program", "batch 1", "batch 7", "batch 1,000", "self-check", "synthetic inputs"]
    page = html.read_text(encoding="utf-8")
    assert "Shown are the 100 of which the trained model is most confident" in page
    assert bad["layers"]["culprit"].split(" (")[0] in page
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["report.html", "report.xml"]


@pytest.mark.slow
def test_layers_are_a_table_with_the_culprit_above(without_relu: Path) -> None:
    result = verify(without_relu, "--layers")
    assert result.exit_code == 1
    assert "first diverges at relu before fc2" in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.strip().startswith("relu before fc2")]
    assert row.strip().endswith("diverges")


def test_layers_that_cannot_be_shown_are_reported_on_stderr(tmp_path: Path) -> None:
    nothing = tmp_path / "a.onnx"
    nothing.write_bytes(b"not a model")
    result = verify(nothing, "--layers")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"{nothing}: no layerwise comparison: it cannot be run"


def test_a_report_that_cannot_be_written_is_one_line(exports: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = verify(exports / "mnist-mlp.onnx", "--html", tmp_path / "file" / "report.html")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "cannot write" in result.stderr


@pytest.mark.parametrize(
    ("judged", "options", "taken"),
    [
        ("a.html", ("--html", "a.html"), "a.html"),
        ("a.xml", ("--junit", "b/../a.xml"), "b/../a.xml"),
        ("a.onnx", ("--html", "link.html"), "link.html"),
        ("a.pt", ("--html", "one.html", "--junit", "two.xml"), "two.xml"),
    ],
    ids=["judged", "spelled otherwise", "link", "one another"],
)
def test_a_report_is_not_written_over_another_file_of_the_command_line(
    judged: str, options: tuple[str, ...], taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").mkdir()
    Path(judged).write_bytes(b"judged")
    Path("link.html").symlink_to("a.onnx")
    Path("two.xml").symlink_to("one.html")
    before = sorted(tmp_path.iterdir())
    result = verify(judged, *options, "--force")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: A report would be written over {taken}: name another file."
    assert Path(judged).read_bytes() == b"judged"
    assert sorted(tmp_path.iterdir()) == before


def test_a_time_that_is_not_one_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "now")
    monkeypatch.setattr("mnist_edge.parity.reference.load_reference", None)
    result = verify(tmp_path / "a.onnx", "--html", tmp_path / "report.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: SOURCE_DATE_EPOCH is 'now', expected whole seconds since 1970, or nothing\n"


def test_a_loop_of_links_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop.onnx"
    loop.symlink_to(loop)
    result = verify(loop)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert result.stderr == f"{loop}: cannot read {loop}: Too many levels of symbolic links\n"


@pytest.mark.slow
def test_a_folder_stands_for_what_its_manifest_lists(exports: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "mnist-mlp.onnx"):
        shutil.copy(exports / name, tmp_path)
    result = verify(tmp_path, "--json")
    assert result.exit_code == 1
    passed = {Path(report["file"]).name: report["passed"] for report in json.loads(result.stdout)}
    assert passed.pop("mnist-mlp.onnx")
    assert len(passed) == len(read_manifest(exports)) - 1
    assert not any(passed.values())
    assert result.stderr.count("No such file") == len(passed)
    (tmp_path / "manifest.json").unlink()
    result = verify(tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no manifest.json" in result.stderr


@pytest.mark.slow
def test_another_checkpoint_is_one_diagnosis() -> None:
    result = verify(BUILTIN_MODELS["cnn"], "--layers")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "made from another checkpoint: the file says sha256:" in line
    assert line.endswith("; name the right one with --checkpoint")


@pytest.mark.slow
def test_a_missing_file_is_a_failed_verdict_beside_the_others(exports: Path, tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    result = verify(tmp_path / "missing.onnx", exports / "mnist-mlp.pt", "--json", "--junit", junit)
    assert result.exit_code == 1
    assert [report["passed"] for report in json.loads(result.stdout)] == [False, True]
    assert len(list(ElementTree.parse(junit).iter("failure"))) == 1
    assert "No such file" in result.stderr


@pytest.mark.slow
def test_what_is_worse_than_its_baseline_fails(exports: Path, reports: dict[str, ParityReport], tmp_path: Path) -> None:
    baseline, model = tmp_path / "baseline.json", exports / "mnist-mlp.onnx"
    statistics = reports["mnist-mlp.onnx"].statistics
    assert statistics is not None
    misread = 10_000 - statistics.accuracy.hits
    before = reports["mnist-mlp.onnx"].to_json()
    before["answers"]["misread"] = ""
    baseline.write_text(json.dumps([before]))
    result = verify(model, "--baseline", baseline)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"{model}: it is worse than mnist-mlp.onnx in {baseline}: accuracy -{misread / 100:.2f} points"
    )
    (row,) = [line for line in result.stdout.splitlines() if line.strip().startswith("baseline")]
    assert row.split(maxsplit=1)[1].endswith(f"{misread} lost, 0 gained: FAILED")


def test_a_baseline_is_refused_before_the_work_and_not_written_over(exports: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.html"
    baseline.write_text("[]")
    result = verify(exports / "mnist-mlp.pt", "--baseline", baseline, "--html", baseline)
    assert result.exit_code == 2
    result = verify(exports / "mnist-mlp.pt", "--baseline", baseline)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.endswith("has no report on mnist-mlp.pt, only on nothing: name the one that it belongs to")


@pytest.mark.slow
def test_targets_are_a_table_and_are_in_every_report(exports: Path, tmp_path: Path) -> None:
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    header = exports / "mnist-mlp-int8.h"
    targets = ["--target", "wasm32", "--target", "cortex-m4", "--target-images", "20"]
    result = verify(header, exports / "mnist-mlp.onnx", *targets, "--html", html, "--junit", junit)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    (device,) = [row for row in rows if row[:1] == ["cortex-m4"] and "equal" not in " ".join(row)]
    assert device[1:4] == ["20", "of", "20"]
    cases = [case.get("name") for case in ElementTree.parse(junit).iter("testcase")]
    assert cases.count("on cortex-m4") == cases.count("on wasm32") == 1
    properties = {entry.get("name"): entry.get("value") for entry in ElementTree.parse(junit).iter("property")}
    assert int(properties["cortex-m4: flash"] or 0) > 100_000
    page = html.read_text(encoding="utf-8")
    assert "On emulated devices" in page
    assert "Cortex-M4F" in page
    (report,) = json.loads(verify(header, *targets, "--json").stdout)
    assert [device["target"] for device in report["devices"]] == ["cortex-m4", "wasm32"]
    assert all(device["equal_logits"] == device["images"] == 20 for device in report["devices"])


def test_targets_that_no_file_has_are_a_usage_error(exports: Path) -> None:
    for target, file, message in (
        ("z80", "mnist-mlp-int8.h", "unknown target 'z80': expected one of cortex-m0plus"),
        ("cortex-m4", "mnist-mlp.onnx", "cortex-m4 runs c files alone: expected one of aarch64, all"),
        ("all", "mnist-mlp.pt", "none of these formats runs on emulated devices"),
    ):
        result = verify(exports / file, "--target", target)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    alone = verify(exports / "mnist-mlp-int8.h", "--target-images", "5")
    assert (alone.exit_code, alone.stdout) == (2, "")
    assert "--target-images goes with --target." in alone.stderr


def test_of_a_missing_file_and_a_missing_checkpoint_the_file_is_named(exports: Path, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "missing.onnx", "missing.onnx: No such file"),
        (
            exports / "mnist-mlp.onnx",
            r"no checkpoint at \S*missing: name the one that \S*mnist-mlp.onnx was exported from",
        ),
    ):
        result = CliRunner().invoke(main, ["verify", str(path), "--checkpoint", str(tmp_path / "missing")])
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.search(message, result.stderr)


@needs_chromium
@pytest.mark.slow
def test_a_page_is_opened_in_a_browser(exports: Path) -> None:
    result = verify(exports / "mnist-mlp-int8.html", exports / "mnist-mlp.onnx", "--browser", "--json")
    assert result.exit_code == 0, result.output
    page, other = json.loads(result.stdout)
    added = [check for check in page["checks"] if check["code"].startswith("browser_")]
    assert [check["verdict"] for check in added] == ["ok"] * 3
    assert added[0]["figures"] == {"images": 10_000, "equal_logits": 10_000}
    assert added[1]["figures"] == {"pictures": 1_000, "equal_answers": 1_000}
    assert not any(check["code"].startswith("browser_") for check in other["checks"])


@pytest.mark.slow
def test_a_program_that_is_no_browser_is_one_line(exports: Path) -> None:
    for program, message in (
        ("/nowhere/chromium", "there is no browser /nowhere/chromium: install Chromium"),
        (sys.executable, f"cannot start {sys.executable} ("),
    ):
        result = verify(exports / "mnist-mlp-int8.html", "--browser-path", program)
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert message in line


def test_without_a_page_a_browser_is_a_usage_error(exports: Path) -> None:
    result = verify(exports / "mnist-mlp.onnx", "--browser")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "none of these files is a page: leave out --browser, or name a file of page." in result.stderr


@pytest.mark.slow
def test_exports_of_several_checkpoints_are_each_judged_by_their_own(
    released: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = {name: dataclasses.replace(released, seed=seed, file_digest=None) for seed, name in enumerate(("a", "b"))}
    for name, checkpoint in others.items():
        save_checkpoint(Path("checkpoints") / f"{name}.safetensors", checkpoint)
    for name, kind in (("a", "torch-export"), ("b", "torchscript")):
        command = ["export", f"checkpoints/{name}.safetensors", "--format", kind, "--data-dir", str(DATA)]
        assert CliRunner().invoke(main, command).exit_code == 0
    command = ["verify", "exports", "--data-dir", str(DATA), "--json", "--html", "page.html"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert [report["passed"] for report in json.loads(result.stdout)] == [True, True]
    page = Path("page.html").read_text(encoding="utf-8")
    assert all(checkpoint.digest in page for checkpoint in others.values())
