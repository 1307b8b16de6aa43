import json
from pathlib import Path

from mnist_edge.parity.checks import Check
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.parity_report import ParityReport


def test_it_passed_if_every_check_did_and_each_problem_belongs_to_one(
    broken: dict[str, ParityReport], reports: dict[str, ParityReport]
) -> None:
    for report in (*broken.values(), *reports.values()):
        assert bool(report) == all(report.checks)
        assert report.problems == tuple(problem for check in report.checks for problem in check.problems)
        codes = [check.code for check in report.checks]
        assert len(set(codes)) == len(codes)
        assert all(report.check(check.code) is check for check in report.checks)
    assert not any(broken.values())
    assert all(reports.values())


def test_the_report_is_json(broken: dict[str, ParityReport], reports: dict[str, ParityReport]) -> None:
    for report in (*broken.values(), *reports.values()):
        written = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert written["file"] == str(report.path)
        if report.path.is_file():
            assert written["bytes"] == report.path.stat().st_size
        assert (written["bytes"], written["sha256"]) == (report.size, report.sha256)
        assert written["passed"] == bool(report)
        assert written["problems"] == list(report.problems)
        assert (written["statistics"] is None) == (report.statistics is None)
        assert [check["code"] for check in written["checks"]] == [check.code for check in report.checks]
        assert [check["verdict"] == "FAILED" for check in written["checks"]] == [not check for check in report.checks]
        assert written["layers"] is None
    assert broken["frozen"].statistics is broken["cut"].statistics is None


def test_the_summary_is_the_part_of_it_that_a_manifest_holds(reports: dict[str, ParityReport]) -> None:
    for report in reports.values():
        whole = report.to_json()
        summary = report.summary()
        assert summary == {name: whole[name] for name in summary}
        assert set(summary) == {
            *("passed", "images", "tolerance", "reference_accuracy", "max_abs_diff", "agreement", "accuracy"),
            *("comparisons", "answers", "devices", "problems"),
        }


def test_the_figures_are_the_worst_over_the_batch_sizes() -> None:
    comparisons = (Comparison(1, 0.5, 0.1, 0.9, 0.8, 10), Comparison(7, 0.25, 0.2, 0.7, 0.95, 10))
    report = ParityReport(Path("a"), 1, "", 10, 0.9, (), comparisons=comparisons)
    assert (report.max_abs_diff, report.agreement, report.accuracy) == (0.5, 0.7, 0.8)
    nothing = ParityReport(Path("a"), 1, "", 10, 0.9, (Check("loads", "file", "cannot be run", ("why",)),))
    assert nothing.max_abs_diff is nothing.agreement is nothing.accuracy is None
    assert not nothing
    assert nothing.check("batch_1") is None
