"""Reports as JUnit XML, which continuous integration shows: a test suite for each file, a test case for each check.

The layout is that of the Apache Ant JUnit task, as Jenkins and GitLab read it.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.text import printable

_NOT_CHARACTERS = re.compile("[\ufffe\uffff]")
"""What XML 1.0 (section 2.2) has no place for besides what is not printable."""


def junit(reports: Sequence[ParityReport]) -> bytes:
    """Return the reports as a JUnit XML file, with the seconds that each check and each file took."""
    root = ElementTree.Element("testsuites", _counts(reports) | {"name": "mnist-edge verify"})
    for report in reports:
        suite = ElementTree.SubElement(root, "testsuite", _counts([report]) | {"name": _legal(str(report.path))})
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in readable_figures(report).items():
            ElementTree.SubElement(properties, "property", name=name, value=_legal(value))
        for run in report.devices:
            for name, value in run.to_json().items():
                ElementTree.SubElement(properties, "property", name=f"{run.target}: {name}", value=_legal(str(value)))
        for check in report.checks:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=_legal(report.path.name),
                name=_legal(check.title),
                time=f"{check.seconds:.3f}",
            )
            if check.problems:
                failure = ElementTree.SubElement(case, "failure", message=_legal(check.problems[0]))
                failure.text = "\n".join(map(_legal, check.problems))
            ElementTree.SubElement(case, "system-out").text = _legal(f"{check.verdict}: {check.found}")
    ElementTree.indent(root)
    page: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return page + b"\n"


def _counts(reports: Sequence[ParityReport]) -> dict[str, str]:
    checks = [check for report in reports for check in report.checks]
    failures = sum(not check for check in checks)
    counts = {"tests": str(len(checks)), "failures": str(failures), "errors": "0", "skipped": "0"}
    return counts | {"time": f"{sum(report.seconds for report in reports):.3f}"}


def _legal(text: str) -> str:
    return _NOT_CHARACTERS.sub("\ufffd", printable(text))
