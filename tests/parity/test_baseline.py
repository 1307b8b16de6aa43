import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.parity.baseline import (
    Baseline,
    BaselineEntry,
    check_baseline,
    compare_with_baseline,
    paired_interval,
    read_baseline,
)
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.recorded_answers import RecordedAnswers
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import with_baseline

DIGITS = tuple("0123456789")


def recorded(images: int, misread: set[int]) -> RecordedAnswers:
    return RecordedAnswers("0" * 64, images, tuple(sorted(misread)))


def test_losses_beyond_chance_fail_and_are_named() -> None:
    """Of 1,000 images 20 are lost, all of label 4 and 8, and 6 are gained."""
    labels = np.arange(1_000) % 10
    before = BaselineEntry("old.onnx", True, recorded(1_000, {1, 11, 21, 31, 41, 51}))
    after = recorded(1_000, {4 + 10 * i for i in range(12)} | {8 + 10 * i for i in range(8)})
    found = compare_with_baseline(before, after, labels, DIGITS)
    assert found is not None
    assert not found
    assert (found.mcnemar.lost, found.mcnemar.gained) == (20, 6)
    assert found.mcnemar.p_value == pytest.approx(binomtest(6, 26).pvalue)
    assert found.change == pytest.approx(-0.014)
    assert [(change.label, change.images, change.lost, change.gained) for change in found.classes] == [
        ("4", 100, 12, 0),
        ("8", 100, 8, 0),
        ("1", 100, 0, 6),
    ]
    check = check_baseline(found, Path("report.json"))
    assert not check
    (problem,) = check.problems
    assert problem.startswith("it is worse than old.onnx in report.json: accuracy -1.40 points (95 %: -2.")
    assert "20 correct answers lost and 6 gained" in problem
    assert "most lost of label 4 (12), 8 (8); lost images 4, 8, 14, 18, " in problem
    assert problem.endswith(" and 10 more")
    json.dumps(found.to_json(), allow_nan=False)


def test_chance_passes_and_so_does_what_is_better() -> None:
    labels = np.zeros(1_000, np.int64)
    entry = BaselineEntry("old.onnx", True, recorded(1_000, set(range(6))))
    for misread in (set(range(100, 114)), set(), set(range(6))):
        found = compare_with_baseline(entry, recorded(1_000, misread), labels, DIGITS)
        assert found, misread
        assert check_baseline(found, Path("report.json")), misread
    assert compare_with_baseline(BaselineEntry("a", True, None), recorded(1_000, set()), labels, DIGITS) is None


@pytest.mark.parametrize("images", [1_000, 100_000])
def test_losses_beyond_chance_fail_however_few_they_are_of_all_images(images: int) -> None:
    """20 are lost and 6 gained."""
    before, after = recorded(images, set(range(6))), recorded(images, set(range(6, 26)))
    found = compare_with_baseline(BaselineEntry("old.onnx", True, before), after, np.zeros(images, np.int64), DIGITS)
    assert found is not None
    assert not found
    assert not check_baseline(found, Path("report.json"))


def test_the_interval_leaves_out_zero_where_mcnemars_test_rejects() -> None:
    for lost in range(0, 25, 2):
        for gained in range(0, 25, 3):
            low, high = paired_interval(lost, gained, 500)
            change = (gained - lost) / 500
            assert low <= change <= high
            if lost + gained:
                share = binomtest(lost, lost + gained)
                assert (high < 0 or low > 0) == (share.pvalue < 0.05), (lost, gained)
                exact = share.proportion_ci(0.95, method="exact")
                ends = [(1 - 2 * end) * (lost + gained) / 500 for end in (exact.high, exact.low)]
                assert (low, high) == pytest.approx(ends, abs=1e-12)
    assert paired_interval(0, 0, 500) == (0.0, 0.0)
    # Clopper and Pearson: all of 10 trials, the lower end is 0.025^(1/10).
    assert paired_interval(10, 0, 10) == pytest.approx((-1.0, 1 - 2 * 0.025**0.1))


def test_a_report_is_its_own_baseline_from_either_command(
    exported: list[Artifact], reports: dict[str, ParityReport], reference: Reference, tmp_path: Path
) -> None:
    files = {
        "verify.json": [report.to_json() for report in reports.values()],
        "export.json": [artifact.to_json() for artifact in exported],
        "manifest.json": json.loads((exported[0].path.parent / "manifest.json").read_text()),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
        baseline = read_baseline(tmp_path / name)
        assert list(baseline.entries) == list(reports)
        for report in reports.values():
            judged = with_baseline(report, reference, baseline)
            assert judged, judged.problems
            assert judged.baseline is not None
            assert judged.baseline.change == 0
            assert judged.to_json()["baseline"]["lost"] == []


def test_the_only_report_belongs_to_whatever_is_judged_and_else_the_name_decides(
    reports: dict[str, ParityReport], reference: Reference
) -> None:
    report = reports["mnist-mlp.onnx"]
    assert report.answers is not None
    perfect = BaselineEntry("old.onnx", True, dataclasses.replace(report.answers, misread=()))
    judged = with_baseline(report, reference, Baseline(Path("b.json"), {"old.onnx": perfect}))
    assert not judged
    check = judged.check("baseline")
    assert check is not None
    assert check.figures["lost"] == len(report.answers.misread)
    assert judged.problems[-1].startswith("it is worse than old.onnx in b.json")
    own = BaselineEntry("mnist-mlp.onnx", True, report.answers)
    assert with_baseline(report, reference, Baseline(Path("b.json"), {"old.onnx": perfect, "mnist-mlp.onnx": own}))
    other = BaselineEntry("new.onnx", True, report.answers)
    with pytest.raises(UserError, match=r"b.json has no report on mnist-mlp.onnx, only on old.onnx, new.onnx"):
        with_baseline(report, reference, Baseline(Path("b.json"), {"old.onnx": perfect, "new.onnx": other}))


def test_a_baseline_of_another_number_of_images_is_one_line() -> None:
    baseline = Baseline(Path("b.json"), {"a": BaselineEntry("a", True, recorded(9, set()))})
    assert baseline.entry("a", recorded(9, set()).test_set, 9)
    with pytest.raises(
        UserError, match=r"b\.json has answers to 9 images under the digest of these 10: record it again"
    ):
        baseline.entry("a", recorded(9, set()).test_set, 10)


def test_a_baseline_of_other_images_is_known_by_each_digit_of_their_digest() -> None:
    baseline = Baseline(Path("b.json"), {"a": BaselineEntry("a", True, recorded(9, set()))})
    with pytest.raises(UserError, match="was recorded on other test images"):
        baseline.entry("a", "0" * 63 + "1", 9)


@pytest.mark.parametrize("passed", [False, None, "false", 1])
def test_only_what_says_that_it_passed_has_passed(passed: object, tmp_path: Path) -> None:
    answers = recorded(9, set())
    report = {"file": "a", "passed": passed, "answers": answers.to_json()}
    (tmp_path / "b.json").write_text(json.dumps([report]))
    with pytest.raises(UserError, match="says that a failed"):
        read_baseline(tmp_path / "b.json").entry("a", answers.test_set, 9)


def test_a_baseline_that_says_nothing_of_these_images_is_one_line(
    reports: dict[str, ParityReport], reference: Reference
) -> None:
    report = reports["mnist-mlp.onnx"]
    assert report.answers is not None
    failed = BaselineEntry("a", False, report.answers)
    with pytest.raises(UserError, match="says that a failed: record a report on one that passed"):
        with_baseline(report, reference, Baseline(Path("b.json"), {"a": failed}))
    elsewhere = BaselineEntry("a", True, dataclasses.replace(report.answers, test_set="f" * 64))
    with pytest.raises(UserError, match=r"on other test images \(sha256:ffffffffffff\) than these"):
        with_baseline(report, reference, Baseline(Path("b.json"), {"a": elsewhere}))
    sampled = with_baseline(report, reference, Baseline(Path("b.json"), {"a": BaselineEntry("a", True, None)}))
    assert sampled.checks[-1].verdict == "not available"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Expecting value"),
        ("3", "artifacts is not a list"),
        ("{}", "artifacts is missing"),
        ("[3]", "an entry is not an object"),
        ("[{}]", "answers is missing"),
        ('[{"answers": null, "passed": true}]', "file is missing"),
        ('[{"answers": 3, "passed": true, "file": "a"}]', "answers is not an object"),
        ('[{"answers": {}, "passed": true, "file": "a"}]', "version is missing"),
        ('[{"file": "a", "parity": []}]', "parity is not an object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_something_else_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(
        UserError, match=f"is not a report of mnist-edge .*{re.escape(message)}.*: record one with"
    ) as e:
        read_baseline(path)
    assert "\n" not in str(e.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_baseline(tmp_path / "missing.json")


def test_names_are_those_of_files_without_their_folders(tmp_path: Path, reports: dict[str, ParityReport]) -> None:
    content: list[dict[str, Any]] = [reports["mnist-mlp.onnx"].to_json()]
    assert "/" in content[0]["file"]
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert list(read_baseline(tmp_path / "b.json").entries) == ["mnist-mlp.onnx"]


def test_two_artifacts_of_one_name_are_not_taken_for_one_another(tmp_path: Path) -> None:
    def report(file: str, *misread: int) -> dict[str, Any]:
        return {"file": file, "passed": True, "answers": recorded(10, set(misread)).to_json()}

    path = tmp_path / "b.json"
    two = [report("a/x.onnx"), report("b/x.onnx", 1, 2, 3)]
    message = r"b\.json has two different reports on x\.onnx: record one of them by itself$"
    for reports in (two, [*two, report("b/y.onnx", 4)], [*two, report("c/x.onnx")]):
        path.write_text(json.dumps(reports))
        with pytest.raises(UserError, match=message):
            read_baseline(path).entry("x.onnx", "0" * 64, 10)
        with pytest.raises(UserError, match=r"b\.json has no report on z\.onnx, only on (y\.onnx, )?x\.onnx: "):
            read_baseline(path).entry("z.onnx", "0" * 64, 10)
    one = report("a/x.onnx", 1)
    for reports in ([one, {**one, "passed": False}], [{**one, "passed": False}, one]):
        path.write_text(json.dumps(reports))
        with pytest.raises(UserError, match=message):
            read_baseline(path).entry("x.onnx", "0" * 64, 10)
    path.write_text(json.dumps([*two, report("b/y.onnx", 4)]))
    assert read_baseline(path).entry("y.onnx", "0" * 64, 10).answers == recorded(10, {4})
    path.write_text(json.dumps([report("a/x.onnx", 1), report("b/x.onnx", 1)]))
    assert read_baseline(path).entry("x.onnx", "0" * 64, 10).answers == recorded(10, {1})
