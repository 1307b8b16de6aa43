import dataclasses

import numpy as np

from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.parity.comparison import Comparison
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.statistics import statistics
from tests.exporting.report.failed import failed_report


def test_each_report_has_the_same_figures_in_the_same_order(reports: dict[str, ParityReport]) -> None:
    names = [list(readable_figures(report)) for report in reports.values()]
    assert all(each == names[0] for each in names)
    assert names[0][:3] == ["largest |Δlogit|", "99.9th percentile of |Δlogit|", "mean |Δlogit|"]
    assert "McNemar's exact test" in names[0]


def test_figures_are_readable(reports: dict[str, ParityReport]) -> None:
    figures = readable_figures(reports["mnist-mlp.onnx"])
    assert figures["top-1 agreement"] == "100.00%"
    assert figures["accuracy"] == figures["trained model"]
    assert figures["correct answers lost, gained"] == "0, 0"
    assert figures["McNemar's exact test"] == "p = 1"
    assert figures["would pass: accuracy lower by"] == "0.00 points"


def test_what_could_not_be_run_has_none(broken: dict[str, ParityReport]) -> None:
    assert readable_figures(broken["cut"]) == readable_figures(failed_report("why")) == {}


def test_what_has_no_number_has_a_sign(reference: Reference) -> None:
    same = statistics(reference.logits, reference.logits, reference.labels, 1.0)
    report = failed_report("why", same)
    assert readable_figures(report)["SQNR"] == "∞"
    all_wrong = statistics(reference.logits, np.roll(reference.logits, 5, axis=1), reference.labels, 1.0)
    assert readable_figures(failed_report("why", all_wrong))["McNemar's exact test"] == "p < 1e-300"


def test_one_answer_of_many_is_seen(reference: Reference) -> None:
    report = failed_report("why", statistics(reference.logits, reference.logits, reference.labels, 1.0))
    almost = Comparison(1, 0.0, 0.0, agreement=1 - 1 / 40_000, accuracy=1 - 1 / 40_000, images=40_000)
    figures = readable_figures(dataclasses.replace(report, comparisons=(almost,)))
    assert figures["top-1 agreement"] == figures["would pass: top-1 agreement from"] == "99.99%"
    assert figures["would pass: accuracy lower by"] == "0.01 points"
