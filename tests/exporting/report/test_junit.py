from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.exporting.report.junit import junit
from mnist_edge.parity.parity_report import ParityReport
from tests.exporting.report.failed import failed_report


def test_there_is_a_case_for_each_check(broken: dict[str, ParityReport], reports: dict[str, ParityReport]) -> None:
    everything = [*broken.values(), *reports.values()]
    root = ElementTree.fromstring(junit(everything))
    assert [suite.get("name") for suite in root] == [str(report.path) for report in everything]
    for suite, report in zip(root, everything, strict=True):
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == [check.title for check in report.checks]
        failed = [case.get("name") for case in cases if case.find("failure") is not None]
        assert failed == [check.title for check in report.checks if not check]
        assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), str(len(failed)))
        written = {entry.get("name"): entry.get("value") for entry in suite.findall("properties/property")}
        assert written == readable_figures(report)
    assert int(root.get("failures", "")) == sum(not check for report in everything for check in report.checks)


@given(st.text())
def test_it_can_be_read_whatever_is_in_a_message(text: str) -> None:
    (case,) = ElementTree.fromstring(junit([failed_report(text)])).iter("testcase")
    assert case.find("failure") is not None
