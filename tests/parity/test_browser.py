"""What a browser makes of a page is compared with what it gives here."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.browser_run import BrowserAnswer, BrowserModule
from mnist_edge.formats.registry import read_artifact
from mnist_edge.parity import browser
from mnist_edge.parity.browser import png_files, read_in_browser
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.types import Images, Logits


@dataclass
class FakePage:
    """A page that answers as the Python runner does, but for what a test says."""

    recognizer: Recognizer
    shift: float = 0.0
    status: str | None = None
    failing: int = 0
    incidents: tuple[str, ...] = ()
    browser: str = "Fake 1"

    def predict(self, images: Images) -> Logits:
        logits = self.recognizer.runner.predict_in_batches(images, 1).copy()
        logits[3] += np.float32(self.shift)
        return logits

    def read(self, pictures: Sequence[bytes]) -> list[BrowserAnswer]:
        answers = self.recognizer.predict(list(pictures))
        found = [BrowserAnswer(each.status.value, each.label, each.confidence) for each in answers]
        return [replace(found[0], status=self.status or found[0].status), *found[1:]]

    def failing_test_vectors(self) -> int:
        return self.failing


@pytest.fixture(scope="module")
def path(exported: list[Artifact]) -> Path:
    (found,) = (each.path for each in exported if each.format == "page")
    return found


@pytest.fixture
def judged(
    path: Path, reports: dict[str, ParityReport], reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> tuple[FakePage, "Judge"]:
    page = FakePage(Recognizer(path))

    class FakeBrowser:
        @contextmanager
        def open_page(self, bundle: Bundle, program: Path | None = None) -> Iterator[FakePage]:
            assert bundle == read_artifact(path).bundle
            if program is not None:
                raise ArtifactError("the page failed in the browser (why)")
            yield page

    monkeypatch.setattr(FormatSpec, "browser_module", lambda _: cast("BrowserModule", FakeBrowser()))
    monkeypatch.setattr(browser, "PICTURES", 12)
    return page, Judge(reports[path.name], reference.sample(40))


@dataclass
class Judge:
    report: ParityReport
    reference: Reference

    def __call__(self, program: Path | None = None) -> ParityReport:
        return read_in_browser(self.report, self.reference, program)


def test_three_checks_are_added(judged: tuple[FakePage, Judge]) -> None:
    _, judge = judged
    report = judge()
    assert report
    added = report.checks[len(judge.report.checks) :]
    assert [check.code for check in added] == ["browser_logits", "browser_pictures", "browser_page"]
    assert [check.found for check in added] == [
        "logits of 40 of 40 images equal",
        "answers to 12 of 12 PNG files equal",
        "test vectors passed; no error, no request",
    ]
    assert report.seconds > judge.report.seconds


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shift": 1e-6}, "Fake 1 gives other logits than this machine for 1 of 40 images"),
        ({"status": "no_digit"}, "Fake 1 answers 1 of 12 PNG files differently from the Python runner"),
        ({"failing": 2}, "the page itself says that 2 of its test vectors fail"),
        ({"incidents": ("a request to https://a",)}, "in the browser there was a request to https://a"),
    ],
)
def test_what_differs_is_a_problem(changes: dict[str, object], problem: str, judged: tuple[FakePage, Judge]) -> None:
    page, judge = judged
    for name, value in changes.items():
        setattr(page, name, value)
    report = judge()
    assert not report
    assert report.problems == (problem,)


def test_a_page_that_fails_fails_its_check(judged: tuple[FakePage, Judge]) -> None:
    _, judge = judged
    report = judge(Path("chromium"))
    assert report.checks[-1].code == "browser"
    assert report.problems == ("the page failed in the browser (why)",)


def test_a_page_that_fails_here_fails_its_check_alone(
    judged: tuple[FakePage, Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UserError("cannot use a.html: all fuel consumed")

    _, judge = judged
    monkeypatch.setattr(Recognizer, "predict", fail)
    report = judge()
    assert report.problems == ("cannot use a.html: all fuel consumed",)
    assert [bool(check) for check in report.checks[-3:]] == [True, False, True]


def test_the_page_whose_digest_was_compared_is_the_one_that_reads_pictures(
    judged: tuple[FakePage, Judge], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is replaced while it is open in the browser is not read again."""
    page, judge = judged
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    judge.report = replace(judge.report, path=copy)

    def predict_and_replace(images: Images) -> Logits:
        copy.write_bytes(b"another page")
        return FakePage.predict(page, images)

    monkeypatch.setattr(page, "predict", predict_and_replace)
    assert judge()


def test_a_page_that_was_replaced_since_is_not_opened(judged: tuple[FakePage, Judge]) -> None:
    _, judge = judged
    judge.report = replace(judge.report, sha256="0" * 64)
    assert judge().problems == ("it was replaced while it was judged",)
    judge.report = replace(judge.report, path=Path("deleted.html"))
    assert judge().problems[0].startswith("it can't be read again: ")


def test_what_failed_is_not_opened(judged: tuple[FakePage, Judge], broken: dict[str, ParityReport]) -> None:
    _, judge = judged
    judge.report = broken["cut"]
    assert judge() is broken["cut"]


def test_pictures_are_of_many_sizes_and_read_as_their_images_are(path: Path, reference: Reference) -> None:
    recognizer = Recognizer(path)
    part = reference.part(np.arange(60))
    files = png_files(part.images, recognizer.runner.contract)
    sizes = {Image.open(io.BytesIO(data)).size for data in files}
    assert len(sizes) > 50
    digits = [answer.digit for answer in recognizer.predict(files)]
    assert np.mean(np.array(digits) == part.labels) > 0.9
    light = [np.asarray(Image.open(io.BytesIO(data))).mean() > 128 for data in files]
    assert sum(light) == 30


def test_pictures_of_other_tasks_keep_their_colors(reference: Reference, path: Path) -> None:
    contract = Recognizer(path).runner.contract
    task = replace(contract.task, input=replace(contract.task.input, polarity="as-pictured"))
    pictured: Contract = replace(contract, task=task)
    colors = np.repeat(reference.images[:4], 3, axis=1)
    for data in png_files(colors, pictured):
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.mode == "RGB"
            assert np.asarray(picture).mean() < 128
