import dataclasses
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mnist_edge.exporting.report.html import html_report
from mnist_edge.exporting.report.junit import junit
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.text import printable
from tests.cli.hostile import TEXT, UNSAFE
from tests.exporting.report.failed import ENVIRONMENT, failed_report

NAME = TEXT.replace("/", "") + "\udcff\ufffe & <b>.onnx"


class Page(HTMLParser):
    """The tags of a page, and the text in them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def report() -> ParityReport:
    return failed_report(TEXT, path=Path("folder") / NAME)


def test_a_page_shows_foreign_text_as_text(report: ParityReport, reference: Reference) -> None:
    checkpoint = dataclasses.replace(reference.checkpoint, architecture=TEXT)
    foreign = dataclasses.replace(reference, checkpoint=checkpoint)
    written = html_report([report, report], [foreign, foreign], ENVIRONMENT)
    page = Page(written)
    assert not UNSAFE.search(written.decode().replace("\n", ""))
    assert {"script", "b"}.isdisjoint(tag for tag, _ in page.tags)
    assert f"Parity of {printable(NAME)}, {printable(NAME)}" in page.words
    assert printable(TEXT) in page.words
    assert any(printable(TEXT) in words and "checkpoint" in words for words in page.words)


def test_a_page_may_load_nothing_and_run_nothing(report: ParityReport, reference: Reference) -> None:
    tags = Page(html_report([report], [reference], ENVIRONMENT)).tags
    (policy,) = [attributes for tag, attributes in tags if "http-equiv" in attributes]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert tags.index(("meta", policy)) < [tag for tag, _ in tags].index("style")


def test_junit_shows_foreign_text_as_text(report: ParityReport) -> None:
    root = ElementTree.fromstring(junit([report]))
    shown = printable(NAME).replace("\ufffe", "\ufffd")
    (suite,), (case,), (failure,) = (list(root.iter(tag)) for tag in ("testsuite", "testcase", "failure"))
    assert suite.get("name") == f"folder/{shown}"
    assert case.get("classname") == shown
    assert failure.get("message") == failure.text == printable(TEXT)
