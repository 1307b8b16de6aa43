import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from mnist_edge.exporting.report.figures import readable_figures
from mnist_edge.exporting.report.html import MAX_CHANGED, draw_differences, html_report
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.verify import verify_path
from tests.exporting.report.failed import ENVIRONMENT, failed_report


class Page(HTMLParser):
    """Collects what a page shows and what it loads."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.slow
def test_the_page_holds_everything_it_shows(
    reports: dict[str, ParityReport], broken: dict[str, ParityReport], reference: Reference
) -> None:
    everything = [*reports.values(), *broken.values()]
    content = html_report(everything, [reference] * len(everything), ENVIRONMENT)
    page = Page(content)
    assert all(address.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for address in page.loaded)
    assert b"url(" not in content
    assert b"@import" not in content
    assert not {"script", "link", "iframe"} & set(page.tags)
    changed = [report.statistics.changed for report in everything if report.statistics]
    assert page.tags.count("figure") == sum(min(len(answers), MAX_CHANGED) for answers in changed)
    shown = " ".join(page.text)
    for report in everything:
        assert report.path.name in shown
        assert all(value in shown for value in readable_figures(report).values())
        assert all(problem in shown for problem in report.problems)
        assert all(check.title in shown for check in report.checks)
    assert reference.checkpoint.digest in shown
    some = everything[::12]
    assert len({html_report(some, [reference] * len(some), ENVIRONMENT) for _ in range(2)}) == 1


def test_the_page_begins_with_the_verdict_and_where_it_was_made(reference: Reference) -> None:
    failed = failed_report("it can't be read", path=Path("a.onnx"))
    passed = dataclasses.replace(failed, checks=())
    for given, verdict in (
        ([passed], "The file passed"),
        ([passed, passed], "All 2 files passed"),
        ([failed], "1 of 1 file FAILED"),
        ([passed, failed], "1 of 2 files FAILED"),
    ):
        page = Page(html_report(given, [reference] * len(given), ENVIRONMENT))
        shown = [text.strip() for text in page.text[page.text.index("\n") :] if text.strip()]
        assert shown.index(verdict) < shown.index("2026-03-01 12:30:00 UTC") < shown.index("Figures")
        assert "Python 3.11.7, torch 2.14.1" in shown
        assert ENVIRONMENT.processor in shown


@pytest.mark.slow
def test_what_passed_is_not_painted_as_failed(reports: dict[str, ParityReport], reference: Reference) -> None:
    """Each layer that is quantized diverges, in a file whose answers are as they must be."""
    passed = reports["mnist-mlp-int8.onnx"]
    layers = verify_path(passed.path, reference.sample(), layers=True).layers
    assert layers is not None
    assert any(layer.diverges for layer in layers.layers)
    report = dataclasses.replace(passed, layers=layers)
    page = html_report([report], [reference], ENVIRONMENT).decode()
    assert "diverges</td>" in page
    assert 'class="failed"' not in page


def test_the_page_knows_dark_and_narrow_screens(reports: dict[str, ParityReport], reference: Reference) -> None:
    page = html_report([reports["mnist-mlp.onnx"]], [reference], ENVIRONMENT).decode()
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media (max-width: 30rem)" in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    colors = page[page.index("<style>") : page.index("</style>")].split("\nbody {")[1]
    assert not re.findall("#[0-9a-f]{3,6}", colors), "colors are named once, for light and for dark"


def test_the_page_shows_the_images_whose_answer_changed(reports: dict[str, ParityReport], reference: Reference) -> None:
    report = reports["mnist-mlp-int8.onnx"]
    assert report.statistics is not None
    page = Page(html_report([report], [reference], ENVIRONMENT))
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        for address in page.loaded
        if address.startswith("data:image/png")
    ]
    for picture, answer in zip(pictures, report.statistics.changed, strict=True):
        assert (np.asarray(picture, np.float32) / 255 == reference.images[answer.image, 0]).all()
        assert f"image {answer.image}, label {answer.label}" in page.text


def test_labels_are_those_of_the_task(reports: dict[str, ParityReport], reference: Reference) -> None:
    labels = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    task = dataclasses.replace(reference.checkpoint.task, labels=labels)
    named = dataclasses.replace(reference, checkpoint=dataclasses.replace(reference.checkpoint, task=task))
    report = reports["mnist-mlp-int8.onnx"]
    assert report.statistics is not None
    shown = Page(html_report([report], [named], ENVIRONMENT)).text
    for answer in report.statistics.changed:
        assert f"image {answer.image}, label {labels[answer.label]}" in shown
        assert labels[answer.trained] in shown


@pytest.mark.slow
def test_layers_are_a_table_with_the_culprit_above(broken: dict[str, ParityReport], reference: Reference) -> None:
    report = verify_path(broken["relu"].path, reference.sample(), layers=True)
    assert report.layers is not None
    shown = " ".join(Page(html_report([report], [reference], ENVIRONMENT)).text)
    assert report.layers.culprit in shown
    assert all(layer.name in shown for layer in report.layers.layers)


def test_a_name_or_message_is_text_and_not_markup(reference: Reference) -> None:
    report = failed_report("<img src=x>", path=Path("<script>alert(1)<b>.onnx"))
    page = Page(html_report([report], [reference], ENVIRONMENT))
    assert "script" not in page.tags
    assert page.loaded == []


def test_the_histogram_leaves_out_what_has_no_place_on_its_axis() -> None:
    axes, others = Figure().subplots(1, 2)
    draw_differences(axes, np.array([[0.0, 1e-6, 1e-3, np.inf]]), 1e-4)
    assert axes.get_title() == "4 logits: 1 are the same, 1 are not finite"
    assert sum(bar.get_height() for bar in axes.patches) == 2
    draw_differences(others, np.zeros((3, 10)), 1e-4)
    assert others.get_title() == "30 logits: 30 are the same"
    assert len(others.patches) == 0


def test_the_histogram_shows_a_bar_where_all_differences_are_the_same() -> None:
    axes = Figure().subplots()
    draw_differences(axes, np.full((3, 10), 1e-3), 1e-4)
    (bar,) = [bar for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_height()]
    assert bar.get_width() > 1e-5


@pytest.mark.parametrize("allowed", [None, 1e-4])
def test_the_histogram_shows_the_bound_only_where_there_is_one(allowed: float | None) -> None:
    axes = Figure().subplots()
    draw_differences(axes, np.full((3, 10), 1e-3), allowed)
    assert len(axes.lines) == (allowed is not None)
